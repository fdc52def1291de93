"""A log line tells what happened, and never who the patient is."""

import errno
import io
import json
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import structlog

from meshpacs.node.logs import BLANK, blank_patients, set_up_logs, tell_warnings_by_place

SECRET = "Yamada"


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, show = list(root.handlers), root.level, warnings.showwarning
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    warnings.showwarning = show
    structlog.reset_defaults()


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@dataclass
class Patient:
    patient_id: str
    hops: int


@pytest.mark.parametrize(
    "fields",
    [
        {"patient_name": SECRET},
        {"PatientName": SECRET},
        {"patient": SECRET},
        {"birth_date": SECRET},
        {"accession_number": SECRET},
        {"record": {1: SECRET}},
        {"row": SECRET},
        {"query": [SECRET]},
        {"matches": (SECRET,)},
        {"facts": {"0010,0010": SECRET}},
        {"facts": {"(0010,0020)": SECRET}},
        {"facts": {"00080050": SECRET}},
        {"facts": {0x0010_0010: (SECRET,)}},
        {"facts": {0x0010_0020: 4711}},
        {"facts": [{"PatientID": SECRET}]},
        {"who": Patient(SECRET, 3)},
        {"deep": [[[[[SECRET]]]]]},
    ],
)
@pytest.mark.parametrize("form", ["json", "console"])
def test_a_patients_facts_are_blanked_wherever_they_hide(form: Any, fields: Any) -> None:
    stream = io.StringIO()
    set_up_logs("info", form, stream)
    structlog.get_logger().info("stored", **fields)
    assert SECRET not in stream.getvalue()
    assert "4711" not in stream.getvalue()
    assert BLANK in stream.getvalue()


def test_counts_ids_and_names_of_clinics_are_let_through() -> None:
    event = {
        "event": "query_closed", "rows": 3, "query": "0a1b2c3d", "matches": 2, "name": "Nord",
        "peer": b"\x01", "complete": True, "cause": None, "addresses": ["[::1]:7117"],
        "ten": {"00zz0010": 1, "0020000D": "1.2"}, "kind": Patient,
    }  # fmt: skip
    assert blank_patients(None, "info", dict(event)) == event


def test_json_is_one_object_a_line_with_ids_in_hexadecimal() -> None:
    stream = io.StringIO()
    set_up_logs("info", "auto", stream)
    log = structlog.get_logger()
    log.debug("quiet")
    log.info("linked", peer=b"\x0a\x0b", at=("x", 1), why=ValueError, by={b"\x01": 2})
    line = json.loads(stream.getvalue())
    assert line["event"] == "linked"
    assert line["peer"] == "0a0b"
    assert line["at"] == ["x", 1]
    assert line["timestamp"].endswith("Z")


@pytest.mark.parametrize("stream_type", [io.StringIO, Screen])
def test_a_traceback_shows_no_values_of_variables(stream_type: type[io.StringIO]) -> None:
    stream = stream_type()
    set_up_logs("info", "auto", stream)
    hidden = SECRET
    try:
        [0][len(hidden)]
    except IndexError:
        structlog.get_logger().exception("request_failed")
    assert "IndexError" in stream.getvalue()
    assert "Traceback" in stream.getvalue()
    assert SECRET not in stream.getvalue()


def test_a_changed_level_reaches_loggers_made_before() -> None:
    stream = io.StringIO()
    log = structlog.get_logger()
    set_up_logs("error", "json", stream)
    log.info("one")
    set_up_logs("debug", "json", stream)
    log.debug("two")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["two"]


def test_what_libraries_log_takes_the_same_way_and_pydicom_is_silent() -> None:
    stream = io.StringIO()
    set_up_logs("debug", "json", stream)
    set_up_logs("debug", "json", stream)
    logging.getLogger("anycorn.error").info("unheard")
    logging.getLogger("anycorn.error").warning("a %s", "word")
    logging.getLogger("pydicom").error(SECRET)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(line["event"], line["message"]) for line in lines] == [("library", "a word")]


def test_pythons_warnings_are_told_by_place_without_their_text() -> None:
    stream = io.StringIO()
    set_up_logs("info", "json", stream)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        tell_warnings_by_place()
        warnings.warn(f"Invalid value {SECRET}", UserWarning, stacklevel=1)
    line = json.loads(stream.getvalue())
    assert (line["event"], line["category"]) == ("python_warning", "UserWarning")
    assert SECRET not in stream.getvalue()


class Full(io.StringIO):
    """A log on a disk that is full for a while."""

    full = True

    def write(self, text: str) -> int:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(text)

    def flush(self) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_log_that_cannot_be_written_loses_lines_and_ends_nothing(form: Any) -> None:
    out = Full()
    set_up_logs("info", form, out)
    structlog.get_logger().info("lost")
    out.full = False
    structlog.get_logger().info("kept")
    assert "kept" in out.getvalue()
    assert "lost" not in out.getvalue()
