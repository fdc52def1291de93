"""Who may call, and who is told what (PS3.8 table 9-21)."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import structlog.testing

from meshpacs.dimse.pdu import (
    CALLED_TITLE_NOT_RECOGNIZED,
    CALLING_TITLE_NOT_RECOGNIZED,
    AssociateRequest,
    ProposedContext,
    User,
)
from meshpacs.dimse.services import Service
from meshpacs.gateways.dicom import once
from meshpacs.gateways.dicom.titles import Titles
from meshpacs.node.book import Entry

REQUEST = AssociateRequest(
    "MESHPACS", "CT1", (ProposedContext(1, "1.2.840.10008.1.1", ("1.2.3",)),), User(0, "1.2")
)


class Known:
    """CT1 may echo, store and print."""

    def allows(self, title: str, host: str) -> frozenset[str]:
        known = (title, host) == ("CT1", "192.0.2.7")
        return frozenset({"echo", "store", "print"}) if known else frozenset()

    def prefers(self, title: str, host: str) -> str | None:
        del title, host
        return None

    def destination(self, title: str) -> tuple[Entry, ...]:
        del title
        return ()

    def entries_of(self, title: str, host: str) -> tuple[Entry, ...]:
        del title, host
        return ()


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as lines:
        yield lines


def test_this_machine_may_everything_and_others_what_the_book_says() -> None:
    titles = Titles(lambda: ("MESHPACS",), Known())
    assert titles.services("ANY", "127.0.0.1") == frozenset(Service)
    assert titles.services("ANY", "::1") == frozenset(Service)
    assert titles.services("CT1", "192.0.2.7") == {Service.ECHO, Service.STORE}
    assert titles.services("CT1", "192.0.2.8") == frozenset()


def test_a_stranger_is_refused_and_the_log_says_once_what_to_change(logged: list[Any]) -> None:
    titles = Titles(lambda: ("MESHPACS",), Known())
    assert titles.judge(REQUEST, "192.0.2.7") is None
    for _ in range(3):
        assert titles.judge(REQUEST, "192.0.2.8") is CALLING_TITLE_NOT_RECOGNIZED
    assert titles.judge(replace(REQUEST, called="X"), "192.0.2.7") is CALLED_TITLE_NOT_RECOGNIZED
    assert [(line["host"], line["mend"]) for line in logged] == [
        ("192.0.2.8", "meshpacs dicom ae add CT1 192.0.2.8"),
        ("192.0.2.7", "Call MESHPACS there, or set dicom.ae_titles here."),
    ]


def test_what_is_to_be_typed_is_quoted(logged: list[Any]) -> None:
    titles = Titles(lambda: ("MESHPACS",), Known())
    titles.judge(replace(REQUEST, calling="$(id) ;X"), "192.0.2.8")
    assert logged[0]["mend"] == "meshpacs dicom ae add '$(id) ;X' 192.0.2.8"


def test_refusals_that_are_remembered_have_a_limit(
    logged: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(once, "REMEMBERED", 2)
    titles = Titles(lambda: ("MESHPACS",), Known())
    for number in (1, 2, 3, 1):
        titles.judge(REQUEST, f"198.51.100.{number}")
    assert [line["host"][-1] for line in logged] == ["1", "2", "3", "1"]
