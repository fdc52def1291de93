"""Coverage-guided fuzzing of what reads foreign bytes: codec, noise, header scanner, roster.

Atheris (libFuzzer for Python) drives one process a target; no crash, no hang, bounded memory. It
is no part of the product: `pip install -e '.[fuzz]'`. What it finds is left in `--findings`, and
`python scripts/garbage/fuzzed.py TARGET FILE` shows it again.
"""

import argparse
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from campaigns.campaign import Campaign, Outcome, Place
from clinics.clinic import NotHere

TARGETS = ("codec", "noise", "header", "roster")

HANG_S = 20
"""Of one input; honest ones take milliseconds. A busy machine must not be mistaken for a hang."""

RSS_MB = 768
"""A fuzzing process has 150 MB, most of it coverage's; the largest frame may cost 150 more."""

LONGEST_BYTES = 8_192
"""Of one input: enough for every structure that is read, and thousands are tried a second."""

_LINE = re.compile(r"^#(\d+)\s+\S+\s+cov: (\d+) ft: (\d+).* rss: (\d+)Mb", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Fuzzed:
    """How one target's process ended."""

    target: str
    code: int
    log: str

    @property
    def last(self) -> tuple[int, int, int]:
        """Inputs tried, edges covered, megabytes of memory."""
        found = _LINE.findall(self.log)
        done = re.search(r"stat::number_of_executed_units: (\d+)", self.log)
        peak = re.search(r"stat::peak_rss_mb:\s+(\d+)", self.log)
        tried, edges, _, rss = map(int, found[-1]) if found else (0, 0, 0, 0)
        return int(done[1]) if done else tried, edges, int(peak[1]) if peak else rss


def add_options(parser: argparse.ArgumentParser) -> None:
    """How long, and what."""
    parser.add_argument("--minutes", type=float, default=60, help="in all, over the targets")
    parser.add_argument("--jobs", type=int, default=1, help="processes at once")
    parser.add_argument("--target", choices=TARGETS, action="append", help="only this; repeatable")
    parser.add_argument("--findings", type=Path, default=Path("findings"))


def run(options: argparse.Namespace, place: Place) -> Outcome:
    """Fuzz every target for its part of the time."""
    if find_spec("atheris") is None:
        raise NotHere("Atheris is not installed: .venv/bin/pip install -e '.[fuzz]'")
    outcome = Outcome()
    targets = tuple(options.target or TARGETS)
    each_s = int(options.minutes * 60 / len(targets))
    options.findings.mkdir(exist_ok=True)
    waiting = list(targets)
    running: dict[str, subprocess.Popen[bytes]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < options.jobs:
                target = waiting.pop(0)
                running[target] = start(target, each_s, options.findings, place)
                place.say(f"  {target}: {each_s} s")
            time.sleep(0.2)
            for target, process in list(running.items()):
                if process.poll() is not None:
                    del running[target]
                    log = (place.folder / f"{target}.log").read_text("utf-8", "replace")
                    judge(Fuzzed(target, process.returncode, log), outcome)
    finally:
        for process in running.values():
            process.kill()
            process.wait()
    if not any(options.findings.iterdir()):
        options.findings.rmdir()
    return outcome


def start(target: str, seconds: int, findings: Path, place: Place) -> "subprocess.Popen[bytes]":
    """One process, its corpus begun with honest inputs."""
    from garbage.targets import seeds

    corpus = place.folder / f"{target}-corpus"
    corpus.mkdir()
    for number, seed in enumerate(seeds(target)):
        (corpus / f"seed-{number:03}").write_bytes(seed)
    script = Path(__file__).parents[1] / "garbage" / "fuzzed.py"
    with (place.folder / f"{target}.log").open("wb") as log:
        return subprocess.Popen(
            [
                sys.executable, str(script), target, str(corpus),
                f"-max_total_time={seconds}", f"-seed={place.seed}", f"-timeout={HANG_S}",
                f"-rss_limit_mb={RSS_MB}", f"-max_len={LONGEST_BYTES}", "-len_control=20",
                f"-artifact_prefix={findings.resolve()}/{target}-", "-print_final_stats=1",
            ],
            stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        )  # fmt: skip


def judge(done: Fuzzed, outcome: Outcome) -> None:
    """Count what was tried, and tell what was found."""
    tried, edges, rss = done.last
    outcome.counts[f"{done.target}: inputs tried"] += tried
    outcome.counts[f"{done.target}: edges covered"] += edges
    outcome.counts[f"{done.target}: peak memory, MB"] += rss
    outcome.hold(tried, f"{done.target}: nothing was tried: {done.log[-500:]}")
    if done.code:
        kept = re.search(r"Test unit written to (\S+)", done.log)
        where = f"again with: fuzzed.py {done.target} {kept[1]}" if kept else "no input was kept"
        said = done.log[max(0, done.log.find("=== Uncaught")) :][:1500]
        outcome.wrong.append(f"{done.target} ended with {done.code}; {where}\n{said}")


FUZZ = Campaign(
    "fuzz", "Coverage-guided fuzzing of codec, noise, header scanner and roster.", add_options, run
)
