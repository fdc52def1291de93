"""Log events with fields, to standard error; a patient's facts are blanked if someone forgets."""

import logging
import re
import sys
import warnings
from collections.abc import Iterable, Mapping, MutableMapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from typing import Any, TextIO, cast

import structlog

from meshpacs.node.config import LogFormat, LogLevel

BLANK = "(blanked)"

PATIENT_KEYWORDS = (
    "PatientName", "PatientID", "IssuerOfPatientID", "OtherPatientIDs", "OtherPatientIDsSequence",
    "OtherPatientNames", "PatientBirthName", "PatientMotherBirthName", "PatientBirthDate",
    "PatientBirthTime", "PatientSex", "PatientAge", "PatientSize", "PatientWeight",
    "PatientAddress", "PatientTelephoneNumbers", "PatientComments", "EthnicGroup", "Occupation",
    "MedicalRecordLocator", "AccessionNumber", "ReferringPhysicianName", "AdmissionID",
    "ResponsiblePerson", "MilitaryRank", "BranchOfService", "AdditionalPatientHistory",
)  # fmt: skip
"""Attributes that tell who a patient is. From the identifying ones of PS3.15 table E.1-1."""

PATIENT_TAGS = frozenset({0x0008_0050, 0x0008_0090, 0x0038_0010})
"""The same by tag, where they are outside group 0010, which is blanked as a whole."""

PATIENT_WORDS = frozenset(keyword.lower() for keyword in PATIENT_KEYWORDS) | frozenset(
    {"patient", "birthdate", "birthday", "identifier"}
)
"""Names of fields that are blanked, lower case without underscores."""

RECORD_WORDS = frozenset(
    {"record", "records", "row", "rows", "query", "keys", "matches", "dataset"}
)
"""Names under which only a count or an id in hexadecimal is let through."""

HEXADECIMAL = re.compile(r"[0-9a-f]{1,64}")

DEPTH = 4
"""How deep mappings and lists are looked through; deeper ones are blanked. A guess."""

Event = MutableMapping[str, Any]


def blank_patients(_logger: object, _method: str, event: Event) -> Event:
    """The processor: what listed fields hold, and what hides in records, is replaced."""
    return {key: _blanked(key, value, DEPTH) for key, value in event.items()}


def _blanked(key: object, value: object, depth: int) -> object:
    if _is_patient_tag(key):
        return BLANK
    if isinstance(value, bool | int | float) or value is None:
        return value
    word = key.replace("_", "").lower() if isinstance(key, str) else ""
    if word in PATIENT_WORDS:
        return BLANK
    if word in RECORD_WORDS and not (isinstance(value, str) and HEXADECIMAL.fullmatch(value)):
        return BLANK
    if isinstance(value, str | bytes):
        return value
    if depth == 0:
        return BLANK
    if isinstance(value, Mapping):
        return {k: _blanked(k, v, depth - 1) for k, v in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _blanked(f.name, getattr(value, f.name), depth - 1) for f in fields(value)}
    if isinstance(value, Iterable) and not isinstance(value, type):
        return [_blanked("", item, depth - 1) for item in value]
    return value


def _is_patient_tag(key: object) -> bool:
    if isinstance(key, str):
        text = key.strip("()").replace(",", "")
        try:
            key = int(text, 16) if len(text) == 8 else None
        except ValueError:
            return False
    return isinstance(key, int) and (key >> 16 == 0x0010 or key in PATIENT_TAGS)


def _readable(_logger: object, _method: str, event: Event) -> Event:
    """Ids as hexadecimal, everything else unknown as its class's name: never a stray `repr`."""
    return {key: _shown(value) for key, value in event.items()}


def _shown(value: object) -> object:
    match value:
        case bytes():
            return value.hex()
        case None | bool() | int() | float() | str():
            return value
        case Mapping():
            return {str(key): _shown(item) for key, item in value.items()}
        case list() | tuple():
            return [_shown(item) for item in value]
        case _:
            return str(value)


def set_up_logs(level: LogLevel, form: LogFormat, stream: TextIO | None = None) -> None:
    """Send structlog's events, and the HTTP server's, to standard error from now on.

    May be called again when the configuration changes.
    """
    out = stream or sys.stderr
    number = logging.getLevelNamesMapping()[level.upper()]
    console = form == "console" or (form == "auto" and out.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        blank_patients,
    ]
    # Tracebacks without the values of variables: those may be a patient's.
    last: list[structlog.typing.Processor] = (
        [
            _keep_exceptions(_readable),
            structlog.dev.ConsoleRenderer(
                colors=out.isatty(), exception_formatter=structlog.dev.plain_traceback
            ),
        ]
        if console
        else [
            structlog.processors.format_exc_info,
            _readable,
            structlog.processors.JSONRenderer(sort_keys=False, ensure_ascii=False),
        ]
    )
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", _Unfailing(out))),
        cache_logger_on_first_use=False,  # so that a changed level reaches loggers made before
    )
    _catch_standard_logging(number)


class _Unfailing:
    """A stream whose disk may be full, or whose reader may be gone: then a line is lost.

    A log that nobody can read must not end the node that writes it.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, or lose it."""
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, or lose it."""
        with suppress(OSError):
            self._stream.flush()


def _keep_exceptions(processor: structlog.typing.Processor) -> structlog.typing.Processor:
    """Run a processor around `exc_info`, which the console renderer formats by itself."""

    def around(logger: Any, method: str, event: Event) -> Event:
        kept = event.pop("exc_info", None)
        changed = processor(logger, method, event)
        assert isinstance(changed, dict)
        if kept is not None:
            changed["exc_info"] = kept
        return changed

    return around


class _Passing(logging.Handler):
    """Hands what libraries log on to structlog, so that one stream has one form."""

    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger().log(
            record.levelno, "library", logger=record.name, message=record.getMessage()
        )


def _catch_standard_logging(level: int) -> None:
    root = logging.getLogger()
    for old in [handler for handler in root.handlers if isinstance(handler, _Passing)]:
        root.removeHandler(old)
    root.addHandler(_Passing())
    # Libraries tell more than an operator needs, and pydicom's messages quote data elements.
    root.setLevel(max(level, logging.WARNING))
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)


def tell_warnings_by_place() -> None:
    """Log Python's warnings without their text, which may quote a data element's value."""

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        del message, file, line
        structlog.get_logger().warning(
            "python_warning", category=category.__name__, file=filename, line=lineno
        )

    warnings.showwarning = show
