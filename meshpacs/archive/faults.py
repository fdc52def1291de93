"""What can go wrong in the cellar, named by who must act."""

import errno
import sqlite3
from enum import StrEnum
from pathlib import Path

from meshpacs.model.errors import Damaged, LocalFault, MeshError, Unavailable


class Reason(StrEnum):
    """Why an instance was refused; stable words for reports."""

    NOT_DICOM = "not-dicom"
    TRUNCATED = "truncated"
    MISSING_UID = "missing-uid"
    BAD_UID = "bad-uid"
    MALFORMED = "malformed"
    TOO_DEEP = "too-deep"
    TOO_LARGE = "too-large"
    DICOMDIR = "dicomdir"
    MISMATCH = "mismatch"
    """Not what was announced: another SOP Instance UID, or other content than was vouched for."""
    UNREADABLE = "unreadable"
    """The source could not be read: no permission, a bad medium, a broken zip file."""
    NO_ROOM = "no-room"
    """The archive's disk is full, or what is left is kept for the node itself."""
    DISK = "disk"
    """The archive's disk is read-only or failing."""


class Refused(LocalFault):
    """This instance cannot be kept as it is; nothing of it was. The sentence names no patient."""

    def __init__(self, reason: Reason, what: str, mend: str = "") -> None:
        """Say why, as one word for programs and as sentences for people."""
        super().__init__(what, mend)
        self.reason = reason


def unreadable(error: OSError) -> Refused:
    """An operating system's error about a source."""
    words = error.strerror or type(error).__name__
    return Refused(Reason.UNREADABLE, f"It cannot be read: {words}.")


class DiskFull(Unavailable):
    """No room for what was to be written; nothing was acknowledged and nothing is half-done."""


class NoRoom(DiskFull):
    """The disk is not full yet: what is left is kept for the node itself."""


class DiskReadOnly(Unavailable):
    """The archive's folder cannot be written; what is stored can still be read."""


class IndexBusy(Unavailable):
    """Another process holds the index; one home belongs to one process."""


class IndexDamaged(Damaged):
    """The index file is no longer what was written; the instances are not concerned."""


FULL = frozenset({errno.ENOSPC, errno.EDQUOT}) if hasattr(errno, "EDQUOT") else {errno.ENOSPC}
READ_ONLY = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})


def disk_fault(error: OSError | sqlite3.Error, where: Path) -> MeshError:
    """Name an operating system's or SQLite's error by who must act on it."""
    match error:
        case OSError() if error.errno in FULL:
            kind = "full"
        case OSError() if error.errno in READ_ONLY:
            kind = "read-only"
        case sqlite3.Error():
            kind = {
                sqlite3.SQLITE_FULL: "full",
                sqlite3.SQLITE_READONLY: "read-only",
                sqlite3.SQLITE_CANTOPEN: "read-only",
                sqlite3.SQLITE_BUSY: "busy",
                sqlite3.SQLITE_CORRUPT: "damaged",
                sqlite3.SQLITE_NOTADB: "damaged",
            }.get(_primary(error), "other")
        case _:
            kind = "other"
    if kind == "full":
        return DiskFull(f"The disk that holds {where} is full.", "Make room on it; then try again.")
    if kind == "read-only":
        return DiskReadOnly(
            f"{where} cannot be written.", "Check that the disk is writable and who owns it."
        )
    if kind == "busy":
        return IndexBusy(
            f"The index in {where} is in use by another process.",
            "Stop the other process; one home belongs to one process.",
        )
    if kind == "damaged":
        return IndexDamaged(
            f"The index {where} is damaged.",
            "Start the node again: the index is then made anew from the instances themselves.",
        )
    return Unavailable(
        f"{where} could not be read or written: {_words(error)}.",
        "Check the disk; the operating system's log may say more.",
    )


def _primary(error: sqlite3.Error) -> int:
    """SQLite's primary result code; the extended code's low byte."""
    return int(getattr(error, "sqlite_errorcode", None) or 0) & 0xFF


def _words(error: OSError | sqlite3.Error) -> str:
    # Never str(OSError): it repeats the file's name, which on import media may name a patient.
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return str(error)
