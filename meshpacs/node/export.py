"""A study's files in a folder, as SERIES/INSTANCE.dcm, for programs that read folders."""

from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from re import compile as regex
from typing import Protocol

from meshpacs.model.content import Content, Entry
from meshpacs.model.errors import LocalFault, Unavailable
from meshpacs.model.ids import Digest

UID = regex(r"[0-9]+(\.[0-9]+)*")

COPY_BYTES = 1024 * 1024


class Exporting(Protocol):
    """The archive, as far as exports go."""

    def export(self, root: Digest, target: Path, transfer_syntax: str) -> None:
        """Write a DICOM file whole or not at all, its data set verified."""
        ...

    def open_content(self, root: Digest, transfer_syntax: str) -> tuple[Path, int, Content]:
        """A content's file."""
        ...


def export_study(archive: Exporting, entries: Iterable[Entry], folder: Path) -> int:
    """Write these instances' files; the number of files that are there now.

    A file that is there with the same bytes is left as it is; one with others is not touched.

    Raises:
        LocalFault: some files were in the way, or the folder cannot be made; the rest is there.
        MeshError: the disk is full or failing, or a stored content is damaged.
    """
    there = 0
    in_the_way: list[Path] = []
    for entry in entries:
        target = folder / _name(entry.series_uid) / f"{_name(entry.sop_uid)}.dcm"
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            taken = target.exists()
        except OSError as error:
            raise LocalFault(
                f"{target.parent} cannot be made or looked into: {error.strerror}.",
                "Choose another folder.",
            ) from error
        if not taken:
            archive.export(entry.root, target, entry.transfer_syntax)
        elif not _same(archive.open_content(entry.root, entry.transfer_syntax)[0], target):
            in_the_way.append(target)
            continue
        there += 1
    if in_the_way:
        raise LocalFault(
            f"{len(in_the_way)} files of other content are in the way, the first is "
            f"{in_the_way[0]}; {there} files were written or there already.",
            "Move them, or choose an empty folder.",
        )
    return there


def _name(uid: str) -> str:
    """A UID as a file name; what is no proper UID must not become a path."""
    if UID.fullmatch(uid) and len(uid) <= 64:
        return uid
    return f"uid-{sha256(uid.encode()).hexdigest()[:32]}"


def _same(stored: Path, target: Path) -> bool:
    try:
        if stored.stat().st_size != target.stat().st_size:
            return False
        with stored.open("rb") as one, target.open("rb") as other:
            while piece := one.read(COPY_BYTES):
                if piece != other.read(COPY_BYTES):
                    return False
    except OSError as error:
        raise Unavailable(f"{target} cannot be read: {error.strerror}.") from error
    return True
