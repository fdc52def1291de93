"""How far it is and how long it takes: a bar on a terminal, else a line now and then."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click

LINE_S = 10.0
"""Seconds between two lines where there is no terminal. A guess."""

BAR_S = 0.2
"""Seconds between two pictures of the bar; queries come faster."""


class Meter:
    """Told how much is done, tells a person."""

    def __init__(self, noun: str) -> None:
        """`noun` names what is counted, in the plural."""
        self._noun = noun
        self._began = time.monotonic()
        self._said = self._began
        self._start = -1
        self._bar = sys.stderr.isatty()

    def __call__(self, done: int, of: int, before: int = 0) -> None:
        """So many are done of so many; `before` of them were before this began."""
        now = time.monotonic()
        if self._start < 0:
            self._start = before
            if before:
                click.echo(f"{before} of {of} {self._noun} were there", err=True)
        last = done == of
        if now - self._said < (BAR_S if self._bar else LINE_S) and not (last and self._bar):
            return
        self._said = now
        made = done - self._start
        left = f", {span((now - self._began) / made * (of - done))} left" if made > 0 else ""
        text = f"{done:,} of {of:,} {self._noun}{'' if last else left}"
        if self._bar:
            width = 24
            full = done * width // of
            click.echo(f"\r\x1b[K[{'#' * full}{'.' * (width - full)}] {text}", err=True, nl=False)
        else:
            click.echo(text, err=True)

    def end(self) -> None:
        """Leave the bar's line."""
        if self._bar:
            click.echo("\r\x1b[K", err=True, nl=False)


@contextmanager
def shown(noun: str) -> Iterator[Meter]:
    """A meter that leaves the line as it found it."""
    meter = Meter(noun)
    try:
        yield meter
    finally:
        meter.end()


def span(seconds: float) -> str:
    """A time as people say it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
