"""What a process takes of a machine, looked at again and again, and whether it grows."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from campaigns.campaign import Outcome
from campaigns.trend import slope

WARM_UP = 0.25
"""Of the time; what grows in it is not counted."""

YOUNG_S = 30.0
"""A process that has just started is not looked at: it still imports and opens. A guess."""

SHORT_S = 600.0
"""Below this the slopes are told and not judged: an allocator's habits are larger. A guess."""

GROWTH_MB = 4.0
GROWTH_FILES = 2.0
"""What a node that runs through may gain an hour, and it would be seen in a week. It is judged by
the lower end of the interval: growth that is shown, not growth that cannot be excluded. Guesses."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A process at one moment."""

    at_s: float
    resident_mb: float
    own_mb: float
    """Of that, what is no file's page: heap and stacks."""
    files: int
    threads: int
    pid: int


def look(pid: int, at_s: float) -> Sample | None:
    """None if it is gone."""
    try:
        facts = dict(
            line.split(":", 1)
            for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
        )
        files = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
        threads = int(facts["Threads"])
        return Sample(at_s, _mb(facts["VmRSS"]), _mb(facts["RssAnon"]), files, threads, pid)
    except (OSError, KeyError):
        return None


def _mb(words: str) -> float:
    return int(words.split(maxsplit=1)[0]) * 1024 / 1e6


def judge(
    outcome: Outcome, name: str, samples: Sequence[Sample], lasted_s: float, *, through: bool
) -> None:
    """Say how each figure of one node went, and hold it flat if the node has run through."""
    born: dict[int, float] = {}
    for sample in samples:
        born.setdefault(sample.pid, sample.at_s)
    young_s = min(YOUNG_S, lasted_s / 10)
    warm = [
        sample
        for sample in samples
        if sample.at_s >= WARM_UP * lasted_s and sample.at_s - born[sample.pid] >= young_s
    ]
    judged = through and lasted_s >= SHORT_S
    if not warm:
        outcome.notes.append(f"{name} was never seen for so long that it was warm.")
        outcome.hold(not judged, outcome.notes[-1])
        return
    how = "ran through" if through else "restarted"
    for figure, unit, bound, value in (
        ("memory of its own", "MB", GROWTH_MB, lambda sample: sample.own_mb),
        ("resident memory", "MB", None, lambda sample: sample.resident_mb),
        ("open files", "files", GROWTH_FILES, lambda sample: float(sample.files)),
        ("threads", "threads", GROWTH_FILES, lambda sample: float(sample.threads)),
    ):
        values = [value(sample) for sample in warm]
        line = slope([(sample.at_s, value(sample)) for sample in warm])
        told = f"{name} ({how}), {figure}: {min(values):.1f} to {max(values):.1f} {unit}"
        if line is None:
            outcome.notes.append(f"{told}; too few looks for a slope")
            outcome.hold(not judged, outcome.notes[-1])
            continue
        words = (
            f"{line.an_hour:+.2f} {unit} an hour (95 %: {line.lowest:+.2f} to {line.highest:+.2f})"
        )
        outcome.notes.append(f"{told}; {words}")
        if judged and bound is not None:
            outcome.hold(line.lowest <= bound, f"{name}, {figure}, grows: {words}")
