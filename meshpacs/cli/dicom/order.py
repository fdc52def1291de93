"""What `get` and `move` have in common: what is wanted, Ctrl-C, progress and the sum."""

import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    import trio

    from meshpacs.gateways.dicom.ordering import Delivered, Order, Told

Command = TypeVar("Command", bound=Callable[..., Any])
T = TypeVar("T")


def order_options(command: Command) -> Command:
    """What is wanted."""
    for option in reversed(
        (
            click.argument("keys", nargs=-1, required=True, metavar="STUDY_UID|KEY=VALUE…"),
            click.option(
                "--level",
                type=click.Choice(["patient", "study", "series", "image"], case_sensitive=False),
                help="Default: that of the lowest key.",
            ),
        )
    ):
        command = option(command)
    return command


def order_of(words: tuple[str, ...], level: str | None) -> "Order":
    """The order that these words are.

    Raises:
        LocalFault: a word cannot be used, or a key is missing.
    """
    from meshpacs.gateways.dicom.ordering import Order
    from meshpacs.model.attributes import (
        ISSUER_OF_PATIENT_ID,
        LEVELS,
        UNIQUE_KEYS,
        Level,
    )
    from meshpacs.model.errors import LocalFault
    from meshpacs.model.identifier import keyword_of, parse_keys

    named = [word if "=" in word else f"StudyInstanceUID={word}" for word in words]
    keys = dict(parse_keys(named, Level.IMAGE))
    usable = {*UNIQUE_KEYS.values(), ISSUER_OF_PATIENT_ID}
    for tag, value in keys.items():
        if tag not in usable or not value:
            raise LocalFault(
                f"{keyword_of(tag)} selects nothing here.",
                "Say PatientID, StudyInstanceUID, SeriesInstanceUID or SOPInstanceUID, each with "
                "its value; `meshpacs dicom find` finds them.",
            )
    given = [known for known in LEVELS if UNIQUE_KEYS[known] in keys]
    wanted = Level(level.upper()) if level else given[-1] if given else Level.STUDY
    above = LEVELS[: LEVELS.index(wanted) + 1]
    for known in above if Level.PATIENT in given else above[1:]:
        if UNIQUE_KEYS[known] not in keys:
            raise LocalFault(
                f"{keyword_of(UNIQUE_KEYS[known])} is missing.",
                f"The level {wanted} is under it, so it must be said.",
            )
    return Order(wanted, tuple(sorted(keys.items())))


def interruptible(work: "Callable[[trio.Event], Awaitable[T]]") -> tuple[T, bool]:
    """Run it; at the first Ctrl-C its event is set, the second ends it. Whether there was one."""
    import signal

    import trio

    async def main() -> tuple[T, bool]:
        cancel = trio.Event()

        async def listen(*, task_status: trio.TaskStatus[None]) -> None:
            with trio.open_signal_receiver(signal.SIGINT) as signals:
                task_status.started()
                async for _ in signals:
                    if cancel.is_set():
                        raise KeyboardInterrupt
                    cancel.set()
                    click.echo("cancelling; once more to stop at once", err=True)

        async with trio.open_nursery() as nursery:
            await nursery.start(listen)
            done = await work(cancel)
            nursery.cancel_scope.cancel()
        return done, cancel.is_set()

    try:
        return trio.run(main)
    except BaseExceptionGroup as group:
        if group.subgroup(KeyboardInterrupt) is not None:
            raise KeyboardInterrupt from None
        raise


@contextmanager
def progress_shown(*, quiet: bool) -> "Iterator[Told]":
    """Counts on standard error where somebody is looking."""
    if quiet or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from meshpacs.cli.screen import console

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console(to_stderr=True), transient=True) as progress:
        task = progress.add_task("waiting", total=None)

        def tell(delivered: "Delivered") -> None:
            came = f"{len(delivered.stored)} here, " if delivered.stored else ""
            counted = f"{delivered.completed} sent, {delivered.failed} failed"
            left = "" if delivered.remaining is None else f", {delivered.remaining} to go"
            progress.update(task, description=f"{came}{counted}{left}")

        yield tell


def facts_of(delivered: "Delivered") -> dict[str, Any]:
    """What --json tells of every order."""
    return {
        "status": f"{delivered.status:04X}",
        "comment": delivered.comment,
        "completed": delivered.completed,
        "failed": delivered.failed,
        "warning": delivered.warning,
        "failed_uids": list(delivered.failed_uids),
    }


def said_of(comment: str) -> str:
    """The peer's last word as the end of a sentence, without its full stop."""
    from meshpacs.cli.screen import safe

    return f"; it says: {safe(comment.rstrip('. '))}" if comment else ""


NOTHING = "The other side holds nothing of it; `meshpacs dicom find` shows what it has."


def sum_of(delivered: "Delivered") -> str:
    """The peer's count, and its last word."""
    said = said_of(delivered.comment)
    counts = f"{delivered.completed} sent, {delivered.failed} failed"
    warned = f", {delivered.warning} with a warning" if delivered.warning else ""
    return f"{counts}{warned}. Status {delivered.status:04X}{said}."
