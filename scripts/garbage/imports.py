"""Mutated files through the archive's own import, in batches; and what is left when all is over."""

import shutil
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from garbage.files import DIRECTORY, mutant
from meshpacs.archive.archive import INDEX_FILE, Archive
from meshpacs.archive.ingest import Import, Taken
from meshpacs.model.attributes import Level
from meshpacs.model.errors import MeshError
from meshpacs.model.query import Query

BATCH = 100
"""Files of one folder, imported together."""

HANG_CPU_S = 20.0
"""Processor time of one batch above which one of its files counts as a hang; honest ones take one
second, at most."""


@dataclass(slots=True)
class Tally:
    """What became of the files."""

    by_kind: Counter[str] = field(default_factory=Counter)
    by_outcome: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    findings: list[tuple[str, bytes]] = field(default_factory=list)
    """What must not be, and the file."""


def import_batch(
    archive: Archive, folder: Path, seed: int, batch: int, count: int, tally: Tally
) -> None:
    """One batch: written, imported, counted, removed. Never raises for what is found."""
    folder.mkdir()
    media: list[Path] = []
    made: dict[str, bytes] = {}
    for number in range(count):
        kind, suffix, data = mutant(Random(f"{seed} file {batch * BATCH + number}"))
        path = folder / f"{number:03}{suffix}"
        if suffix == DIRECTORY:
            # Named by itself, so that what it names is looked for.
            path = folder.with_name(f"medium-{number:03}") / DIRECTORY
            path.parent.mkdir()
            (path.parent / "CT1").write_bytes(data[:1000])
            media.append(path)
        path.write_bytes(data)
        made[str(path)] = data
        tally.by_kind[kind] += 1
    try:
        _import(archive, [folder, *media], tally, made)
    finally:
        for gone in (folder, *(path.parent for path in media)):
            shutil.rmtree(gone)


def _import(archive: Archive, paths: list[Path], tally: Tally, made: dict[str, bytes]) -> None:
    told: set[str] = set()
    began = time.process_time()
    try:
        for outcome in Import(archive, paths, workers=1):
            took = time.process_time() - began
            began = time.process_time()
            tally.slowest_s = max(tally.slowest_s, took)
            name = outcome.name.partition("!")[0].partition(": ")[0]
            told.add(name)
            reason = f" ({outcome.reason.value})" if outcome.reason else ""
            tally.by_outcome[f"{outcome.taken.value}{reason}"] += 1
            if took > HANG_CPU_S:
                tally.findings.append((f"it took {took:.0f} s: {name}", made.get(name, b"")))
            if outcome.taken in {Taken.STORED, Taken.CONFLICT} and outcome.verdict is None:
                tally.findings.append(("kept, and nothing is known of it", made.get(name, b"")))
    except MeshError as fault:
        tally.findings.append((f"an import ended for its files: {fault!r}", _suspect(made, told)))
    except Exception:  # noqa: BLE001  any other error is what is looked for
        tally.findings.append((traceback.format_exc(), _suspect(made, told)))
    else:
        empty = {name for name in made if name.endswith(".zip")}
        untold = [name for name in sorted(made) if name not in told and name not in empty]
        if untold:
            tally.findings.append((f"nothing was said of {untold}", made[untold[0]]))


def _suspect(made: dict[str, bytes], told: set[str]) -> bytes:
    """Of a batch that ended early: the first file of which nothing was said."""
    return next((made[name] for name in sorted(made) if name not in told), b"")


def look_after(folder: Path, archive: Archive) -> tuple[list[str], int]:
    """Close the archive, and make its index anew from the blobs: what is not as it should be.

    Also how many instances there are.
    """
    wrong: list[str] = []
    before = _seen(archive)
    left = [path.name for path in (folder / "arriving").glob("*")]
    if left:
        wrong.append(f"{len(left)} files were left in arriving/")
    archive.close()
    with Archive.open(folder) as again:
        if _seen(again) != before:
            wrong.append("another start shows other instances")
    (folder / INDEX_FILE).unlink()
    for extra in folder.glob(f"{INDEX_FILE}-*"):
        extra.unlink()
    with Archive.open(folder) as anew:
        after = _seen(anew)
        if after != before:
            lost, gained = before - after, after - before
            wrong.append(f"the index made anew: {len(lost)} lost, {len(gained)} gained: {lost}")
    return wrong, len(before)


def _seen(archive: Archive) -> set[str]:
    """The SOP Instance UIDs of all instances, study by study."""
    found: set[str] = set()
    studies = archive.search(Query(Level.STUDY, limit=1_000_000)).rows
    for row in studies:
        for state in row.studies:
            found.update(entry.sop_uid for entry in archive.study_entries(state.study_uid))
    return found
