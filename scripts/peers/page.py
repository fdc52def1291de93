"""The expected list, and the page for people that is made of it."""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path

from peers.ground import PEERS
from peers.matrix import COLUMNS, PASS
from peers.peer import Peer

EXPECTED = Path(__file__).with_name("expected.toml")
PAGE = Path(__file__).parents[2] / "docs" / "INTEROP.md"

Verdicts = Mapping[str, Mapping[str, str]]
"""By peer and by column; also its `version`, and what it shows of an incomplete answer."""

HEAD = """\
# Interoperability

Tried with the programs of others, as Debian 12, PyPI and npm have them; `scripts/setup --peers`
installs them. `scripts/interop` tries every cell and says what differs from
`scripts/peers/expected.toml`, of which this page is made (`--write`); the tests try the same cells.
A cell is judged by what came of it, at the other side, not by an exit code: bytes, elements, rows.

Exchanged are CT, MR, SR, RT plan, ECG and secondary capture, in explicit and implicit VR and, with
a peer that takes them, JPEG baseline, JPEG-LS, JPEG 2000 and RLE; the patient's name is not ASCII.
"""

INCOMPLETE = """\
## What is shown of an incomplete answer

One of two clinics was killed; the other answers with its rows, and at last with the status 0000
and the Error Comment `INCOMPLETE 1/2` ([CLI.md](CLI.md)). A workstation that shows no comment shows
an incomplete list as if it were whole.

| peer | shows of the comment | to be seen in | the rows |
|---|---|---|---|
"""


def read() -> Verdicts:
    """The committed list."""
    with EXPECTED.open("rb") as file:
        return tomllib.load(file)


def write(found: Verdicts) -> None:
    """The list and the page."""
    parts = [
        f"[{json.dumps(peer)}]\n"
        + "".join(
            f"{json.dumps(key)} = {json.dumps(value, ensure_ascii=False)}\n"
            for key, value in cells.items()
        )
        for peer, cells in found.items()
    ]
    EXPECTED.write_text("\n".join(parts), encoding="utf-8")
    PAGE.write_text(page(found), encoding="utf-8")


def page(found: Verdicts) -> str:
    """As Markdown."""
    parts = [HEAD]
    reasons: dict[str, int] = {}
    for role, title in (
        ("SCU", "## The peer asks, the node answers\n"),
        ("SCP", "## The node asks, the peer answers\n"),
    ):
        parts += [title, _table(found, role, reasons)]
    parts.append("\n".join(f"{number}. {reason}" for reason, number in reasons.items()) + "\n")
    parts.append("What is looked at:\n")
    parts.append("\n".join(f"- {c.role}, {c.service}: {c.what}" for c in COLUMNS) + "\n")
    parts.append("## What is peculiar to a peer\n")
    parts.append("\n".join(f"- **{kind.name}**: {note}" for kind in PEERS for note in kind.notes))
    parts[-1] += "\n"
    rows = [
        f"| {kind.name} | {_code(found[kind.name]['incomplete shown'])} | {kind.shows} "
        f"| {found[kind.name]['incomplete rows']} |\n"
        for kind in PEERS
    ]
    parts.append(INCOMPLETE + "".join(rows))
    return "\n".join(parts)


def _table(found: Verdicts, role: str, reasons: dict[str, int]) -> str:
    columns = [column for column in COLUMNS if column.role == role]
    lines = [
        f"| peer | {' | '.join(column.service for column in columns)} |",
        f"|---|{'---|' * len(columns)}",
    ]
    for kind in PEERS:
        cells = (_cell(found[kind.name][column.name], reasons) for column in columns)
        lines.append(f"| {_name(kind, found)} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _name(kind: type[Peer], found: Verdicts) -> str:
    return f"{kind.name} {found[kind.name]['version']} ({kind.package})"


def _cell(verdict: str, reasons: dict[str, int]) -> str:
    if verdict == PASS:
        return PASS
    short, _, reason = verdict.partition(": ")
    return f"{short} ({reasons.setdefault(reason, len(reasons) + 1)})"


def _code(text: str) -> str:
    return text if text == "nothing" else f"`{text}`"
