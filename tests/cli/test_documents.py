"""docs/CLI.md names every command, every key of every document, and every route."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from meshpacs.cli.main import COMMANDS
from meshpacs.model.answer import MemberAnswer, Status
from meshpacs.node.views import (
    ArchiveView,
    CommitmentsView,
    ConfigView,
    ConflictView,
    CounterView,
    DeleteView,
    DiskState,
    FetchDone,
    ImportSummary,
    InviteView,
    PassView,
    PeerState,
    PeerView,
    RosterView,
    StatusView,
    TrailView,
    TransactionView,
    Trouble,
)

PAGE = (Path(__file__).parents[2] / "docs" / "CLI.md").read_text(encoding="utf-8")
WORDS = set(re.findall(r"[a-z_0-9]+", " ".join(re.findall(r"`([^`]+)`", PAGE))))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_documented(command: str) -> None:
    assert command in WORDS


@pytest.mark.parametrize(
    "view",
    [
        StatusView, Trouble, ArchiveView, RosterView, ConfigView, PeerView, ConflictView,
        DeleteView, FetchDone, ImportSummary, InviteView, MemberAnswer, CounterView,
        TrailView, PassView,
        CommitmentsView, TransactionView,
    ],
)  # fmt: skip
def test_every_key_is_documented(view: type) -> None:
    missing = {field.name for field in fields(view)} - WORDS - {"names"}
    assert not missing


@pytest.mark.parametrize("kind", [Status, PeerState, DiskState])
def test_every_state_is_documented(kind: type[Status | PeerState | DiskState]) -> None:
    assert all(f"`{member.value}`" in PAGE for member in kind)


def test_every_route_is_documented() -> None:
    source = (Path(__file__).parents[2] / "meshpacs/gateways/http.py").read_text(encoding="utf-8")
    for route in re.findall(r'Route\("([^"]+)"', source):
        assert route in PAGE
