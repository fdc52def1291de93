"""What people see: text made safe for a terminal, tables, times and sizes."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    # Imported where used: --json needs none of it, and rich takes longer than the answer.
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

PIPED_COLUMNS = 160
"""Columns where there is no terminal to ask."""

COLOURS = {"fine": "green", "degraded": "yellow", "broken": "red"}


def console(*, to_stderr: bool = False) -> "Console":
    """A console on standard output; wide where there is no terminal."""
    from rich.console import Console

    stream = sys.stderr if to_stderr else sys.stdout
    width = None if stream.isatty() else PIPED_COLUMNS
    return Console(file=stream, width=width, highlight=False, emoji=False)


def safe(value: object) -> str:
    """Text of other people's making: nothing in it can move the cursor or colour the screen."""
    return "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in str(value))


def text(value: object, style: str = "") -> "Text":
    """Safe text for a table; never read as rich's markup."""
    from rich.text import Text

    return Text(safe(value), style=style)


def table(*columns: str, right: Sequence[str] = ()) -> "Table":
    """A table in the one form that all commands share."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    made = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return made


def print_json(document: dict[str, Any]) -> None:
    """One document, for programs."""
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))


def clock(unix_us: int, *, now: datetime | None = None) -> str:
    """A time in words: 14:02 for today, with the date for other days; `never` for 0."""
    if not unix_us:
        return "never"
    then = datetime.fromtimestamp(unix_us / 1e6, UTC).astimezone()
    today = (now or datetime.now(UTC)).astimezone().date()
    return then.strftime("%H:%M" if then.date() == today else "%Y-%m-%d %H:%M")


def milliseconds(micros: int | None) -> str:
    """Micros as milliseconds, with a decimal below ten."""
    if micros is None:
        return "–"
    return f"{micros / 1000:.1f} ms" if micros < 10_000 else f"{micros / 1000:.0f} ms"


def duration(micros: int) -> str:
    """How long, in the two units that matter."""
    seconds = micros // 1_000_000
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    if seconds < 86_400:
        return f"{seconds // 3600} h {seconds % 3600 // 60} min"
    return f"{seconds // 86_400} d {seconds % 86_400 // 3600} h"


def size(count: int) -> str:
    """Bytes in the unit that keeps them short; powers of 1000."""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return (
                f"{amount:.0f} {unit}" if unit == "B" or amount >= 100 else f"{amount:.1f} {unit}"
            )
        amount /= 1000
    return f"{amount:.1f} TB"


def plural(count: int, one: str, many: str = "") -> str:
    """`1 study`, `3 studies`."""
    return f"{count} {one if count == 1 else many or one + 's'}"


@contextmanager
def few_logs() -> Iterator[None]:
    """Of what a node would log only errors, and those on standard error: the command tells the rest
    itself, and its output is read by programs.
    """
    import structlog

    from meshpacs.node.logs import set_up_logs

    before = structlog.get_config()
    set_up_logs("error", "console")
    try:
        yield
    finally:
        structlog.configure(**before)
