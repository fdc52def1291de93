"""What nodes have logged, and whether it is explained."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

Line = Mapping[str, object]

HARMLESS = frozenset({"debug", "info"})


def read(path: Path) -> Iterator[Line]:
    """A log's lines; what is no event (a traceback, a crash's last words) under `stray`."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            try:
                event = json.loads(line)
            except ValueError:
                event = None
            yield event if isinstance(event, dict) else {"level": "error", "stray": line.strip()}


def troubles(lines: Iterable[Line]) -> Iterator[Line]:
    """Those that an operator would look at."""
    return (line for line in lines if line.get("level") not in HARMLESS)


class Explanations:
    """What may be logged in a campaign, and why."""

    def __init__(self, known: Mapping[str, tuple[str, str]]) -> None:
        """`known`: event, to what its line must contain (empty: anything), and the reason."""
        self._known = known
        self.counts: Counter[str] = Counter()
        """Lines by the reason that explains them."""

    def unexplained(self, lines: Iterable[Line]) -> list[str]:
        """The lines that nothing explains, as they stand in the log."""
        found = []
        for line in troubles(lines):
            words, reason = self._known.get(str(line.get("event")), ("", ""))
            if reason and words in json.dumps(line, ensure_ascii=False):
                self.counts[reason] += 1
            else:
                found.append(json.dumps(line, ensure_ascii=False))
        return found
