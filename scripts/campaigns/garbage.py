"""Mutated frames at every stage of a link, mutated files through the import, and the worst cases.

Frames are thrown in this process at doors, links, rosters and engines over streams in memory, in
blocks that each follow from (seed, stage, block); `--only "engine/3"` throws one again. A smaller
share goes over sockets to a node's process, whose memory and open files are measured. Every frame
and file must end as something taken or as one of our own errors, in bounded time and memory.
"""

import argparse
import contextlib
import resource
import sys
from collections import Counter
from pathlib import Path
from time import monotonic

from campaigns.campaign import Campaign, Outcome, Place
from garbage.stages import Finding, Tally, plan, throw_block, throwing_range

GROWTH_MB = 96
"""By how much this process may have grown when all frames are thrown: nothing of them may stay. Its
peak says little, for garbage is made here, too; what one frame costs is weighed among the worst
cases."""

FILES_GROWTH_MB = 192
"""The same for files, whose originals are kept in memory: 8 MB of them, and a batch of mutants."""

TELL_EACH = 20_000
"""Frames after which it is told how far it is."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """How much of each."""
    parser.add_argument("--frames", type=int, default=1_000_000, help="in this process")
    parser.add_argument("--live", type=int, default=20_000, help="frames to a node's process")
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--only", help='one block again, as "stage/block"')
    parser.add_argument("--findings", type=Path, default=Path("findings"))


def run(options: argparse.Namespace, place: Place) -> Outcome:
    """Frames, worst cases, files, and a node."""
    outcome = Outcome()
    throw_frames(options, place, outcome)
    if options.only is None:
        worst_cases(place, outcome)
        import_files(options, place, outcome)
        throw_at_node(options, place, outcome)
    return outcome


def throw_frames(options: argparse.Namespace, place: Place, outcome: Outcome) -> None:
    """The stages, one after the other."""
    tally = Tally()
    told = 0
    began = monotonic()
    with throwing_range() as ground:
        before = 0
        for stage, block, count in plan(options.frames):
            if options.only not in {None, f"{stage.name}/{block}"}:
                continue
            known = len(tally.findings)
            throw_block(ground, stage, place.seed, block, count, tally)
            for found in tally.findings[known:]:
                _tell(found, options, place, outcome)
            if tally.by_stage.total() >= told + TELL_EACH:
                told = tally.by_stage.total()
                before = before or _resident_mb()
                took_s = monotonic() - began
                place.say(f"  {told:,} frames, {len(outcome.wrong)} found, {took_s:.0f} s")
    for name, number in tally.by_stage.items():
        outcome.counts[f"frames, {name}"] += number
    outcome.hold(tally.by_stage, f"no frame was thrown: is there a block {options.only}?")
    outcome.counts["frames"] += tally.by_stage.total()
    outcome.notes += _table(tally.by_outcome)
    grown = _resident_mb() - (before or _resident_mb())
    outcome.notes.append(f"this process grew by {grown} MB while frames were thrown")
    outcome.hold(grown <= GROWTH_MB, f"frames made this process grow by {grown} MB")


def _tell(found: Finding, options: argparse.Namespace, place: Place, outcome: Outcome) -> None:
    """A finding, at once: a campaign of an hour may be stopped."""
    kept = _keep(options.findings, f"{found.stage}-{found.block}-{found.number}", found.thrown)
    block = f"{found.stage}/{found.block}"
    again = f'--seed {place.seed} --frames {options.frames} --only "{block}"'
    outcome.wrong.append(f"{found.what}\n  {kept}; again with: {again}")
    place.say(f"  found: {outcome.wrong[-1]}")


def worst_cases(place: Place, outcome: Outcome) -> None:
    """Inputs made to cost most, each measured."""
    from garbage.extremes import measured

    for case in measured():
        place.say(f"  {case.name}: {case.peak_mb:.0f} MB, {case.cpu_s:.2f} s: {case.outcome}")
        outcome.counts["worst cases"] += 1
        outcome.notes.append(
            f"{case.name}: {case.outcome}, {case.peak_mb:.0f} of {case.limit_mb} MB, "
            f"{case.cpu_s:.2f} s"
        )
        outcome.hold(case.holds, f"{case.name}: {case}")


def import_files(options: argparse.Namespace, place: Place, outcome: Outcome) -> None:
    """Batches of files into one archive, which is looked after at the end."""
    from garbage.imports import BATCH, import_batch, look_after
    from garbage.imports import Tally as FileTally
    from meshpacs.archive.archive import Archive

    tally = FileTally()
    before = _peak_mb()
    folder = place.folder / "archive"
    archive = Archive.open(folder)
    for batch in range(-(-options.files // BATCH)):
        count = min(BATCH, options.files - batch * BATCH)
        import_batch(archive, place.folder / "in", place.seed, batch, count, tally)
        if batch % 50 == 0:
            place.say(f"  {batch * BATCH} files")
    grown = _peak_mb() - before
    outcome.notes.append(f"this process grew by {grown} MB while files were imported")
    outcome.hold(grown <= FILES_GROWTH_MB, f"files made this process grow by {grown} MB")
    wrong, instances = look_after(folder, archive)
    outcome.counts["files"] += tally.by_kind.total()
    for kind, count in tally.by_kind.items():
        outcome.counts[f"files, {kind}"] += count
    outcome.notes += _table(tally.by_outcome)
    outcome.notes.append(f"{instances} instances kept; slowest file {tally.slowest_s:.2f} s")
    for line in wrong:
        outcome.wrong.append(f"the archive afterwards: {line}")
    for number, (what, data) in enumerate(tally.findings):
        outcome.wrong.append(f"{what}\n  {_keep(options.findings, f'file-{number}', data)}")


def throw_at_node(options: argparse.Namespace, place: Place, outcome: Outcome) -> None:
    """Over sockets, at a process that is measured before and after."""
    if not options.live or not sys.platform.startswith("linux"):
        outcome.notes.append("no frames were thrown at a node's process")
        return
    from garbage.live import Siege

    siege = Siege(place.folder, place.seed)
    before, after, wrong = siege.lay(options.live)
    outcome.counts["frames, over sockets"] += siege.thrown
    outcome.notes.append(f"the node before: {before}")
    outcome.notes.append(f"the node after:  {after}")
    outcome.notes += _table(siege.seen)
    outcome.wrong += wrong


def _table(counts: Counter[str]) -> list[str]:
    return [f"{name:<44}{count:>12,}" for name, count in sorted(counts.items())]


def _keep(folder: Path, name: str, data: bytes) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name.replace(" ", "-")
    path.write_bytes(data)
    return path


def _resident_mb() -> int:
    """Of this process now; where the system does not tell, the most that it ever was."""
    with contextlib.suppress(OSError):
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
        return pages * resource.getpagesize() >> 20
    return _peak_mb()


def _peak_mb() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak >> (20 if sys.platform == "darwin" else 10)


GARBAGE = Campaign(
    "garbage",
    "Mutated frames, files and worst cases: each a named error, in bounded time and memory.",
    add_options,
    run,
)
