"""What nodes have acknowledged, and whether their archives still keep it, byte for byte."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from campaigns.campaign import Outcome
from clinics.scanner import Study, slices
from meshpacs.archive.archive import INDEX_FILE, Archive
from meshpacs.archive.arrival import LeafDigests
from meshpacs.archive.part10 import read_preface
from meshpacs.model.content import leaf_count

Roots = Mapping[str, str]
"""SOP Instance UID to content root, hexadecimal."""


@dataclass(slots=True)
class Offered:
    """A study as it lies in a folder, waiting to be taken in."""

    study: Study
    folder: Path
    roots: dict[str, str] = field(default_factory=dict)
    """By the name of the file."""
    sops: dict[str, str] = field(default_factory=dict)
    size_bytes: int = 0

    @property
    def all(self) -> Roots:
        """Every instance of it."""
        return {self.sops[name]: root for name, root in self.roots.items()}


def offer(number: int, folder: Path, sides: Mapping[int, int], seed: int) -> Offered:
    """Write a study's files; `sides` says how many images there are of each width."""
    offered = Offered(Study(number), folder)
    folder.mkdir(parents=True)
    at = 0
    for side, count in sides.items():
        # The same study in every pass; instances are told apart by their number.
        images: Iterator[bytes] = slices(offered.study, at + count, side=side, seed=seed)
        for index, content in enumerate(images):
            if index < at:
                continue
            name = f"{index:04}.dcm"
            (folder / name).write_bytes(content)
            offered.roots[name] = root_of(content)
            offered.sops[name] = f"2.25.3{number * 10_000 + index + 1:020}"
            offered.size_bytes += len(content)
        at += count
    return offered


def root_of(file: bytes) -> str:
    """The content root of a whole DICOM file (PROTOCOL 9.1)."""
    preface = read_preface(file, whole=True)
    assert preface is not None
    digests = LeafDigests()
    digests.update(memoryview(file)[preface.offset :])
    return digests.finish()[1].hex()


@dataclass(slots=True)
class Promises:
    """What one clinic has said that it keeps."""

    instances: dict[str, dict[str, str]] = field(default_factory=dict)
    """Of each study, by SOP Instance UID: the content's root."""
    offered: dict[str, Roots] = field(default_factory=dict)
    """Of each study: all that may be there, acknowledged or not."""
    partial: set[str] = field(default_factory=set)
    """Studies of which it has said that they are not whole."""

    def keep(self, study_uid: str, instances: Roots) -> None:
        """It has acknowledged these."""
        self.instances.setdefault(study_uid, {}).update(instances)

    def check(self, archive: Archive, outcome: Outcome, whose: str) -> None:
        """Read everything promised, every leaf against its root."""
        partial = set(archive.partial_studies())
        for study_uid, offered in self.offered.items():
            here = {entry.sop_uid: entry for entry in archive.study_entries(study_uid)}
            for sop_uid, root in self.instances.get(study_uid, {}).items():
                entry = here.get(sop_uid)
                outcome.hold(entry is not None, f"{whose} has lost {sop_uid}, which it promised")
                if entry is None:
                    continue
                outcome.hold(entry.root.hex() == root, f"{whose} has other bytes for {sop_uid}")
                size = 0
                for index in range(leaf_count(entry.size_bytes)):
                    size += len(archive.read_leaf(entry.root, index, entry.transfer_syntax))
                outcome.hold(size == entry.size_bytes, f"{whose} has not all bytes of {sop_uid}")
                outcome.counts["instances read back byte for byte"] += 1
            for sop_uid, entry in here.items():
                outcome.hold(
                    offered.get(sop_uid) == entry.root.hex(),
                    f"{whose} shows {sop_uid}, which nobody offered so",
                )
            outcome.hold(
                study_uid not in partial or study_uid in self.partial,
                f"{whose} calls study {study_uid} partial and never said so",
            )
        outcome.hold(not archive.conflicts(), f"{whose} has invented a conflict")
        outcome.hold(not archive.losses(), f"{whose} counts instances as lost")


def partial_studies(folder: Path) -> set[str]:
    """Which studies an archive in use has marked as partial."""
    with closing(sqlite3.connect(f"file:{folder / INDEX_FILE}?mode=ro", uri=True)) as con:
        return {uid for (uid,) in con.execute("SELECT study_uid FROM partial_studies")}
