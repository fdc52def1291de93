"""What nodes have logged, and whether it is explained."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Explanation:
    """What may be logged in a campaign, and why."""

    event: str
    """The event's name; empty for what is no event."""
    reason: str
    words: str = ""
    """What its line must contain as JSON; empty: anything."""


class Explanations:
    """All that may be logged in one campaign."""

    def __init__(self, *known: Explanation) -> None:
        """Nothing else may be."""
        self._known = known
        self.counts: Counter[str] = Counter()
        """Lines by the reason that explains them."""

    def unexplained(self, lines: Iterable[Line]) -> list[str]:
        """The lines that nothing explains, as they stand in the log."""
        found = []
        for line in troubles(lines):
            event, text = line.get("event", ""), json.dumps(line, ensure_ascii=False)
            for known in self._known:
                if known.event == event and known.words in text:
                    self.counts[f"logged: {known.reason}"] += 1
                    break
            else:
                found.append(text)
        return found
