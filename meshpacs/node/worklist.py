"""The modality worklist: a folder into which others put what is scheduled.

Files lie in the folder itself, for whoever asks, or in a subfolder that has the AE title that the
modality calls us by, as DCMTK's wlmscpfs has it. `*.wl` are data sets of DICOM, `*.json` one of
them or a list of them. The folder is read at each question, a file again only when it has changed;
a file that cannot be used is kept out and told, and the others are served.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from meshpacs.archive.faults import unreadable
from meshpacs.archive.header import EXPLICIT_LITTLE, IMPLICIT_LITTLE
from meshpacs.archive.part10 import read_preface
from meshpacs.dimse.elements import CHARACTER_SET, read_data_set
from meshpacs.dimse.faults import MalformedIdentifier
from meshpacs.dimse.worklist import STEPS
from meshpacs.model.attributes import Record, Value
from meshpacs.model.charsets import default_codec
from meshpacs.model.errors import LocalFault, Unavailable
from meshpacs.model.limits import IDENTIFIER_DEPTH, WORKLIST_FILE_BYTES, WORKLIST_STEPS
from meshpacs.node.dictionary import lexicon, tag_of, vr_of

try:
    import fcntl
except ImportError:  # Windows: wlmscpfs itself locks in another way there
    fcntl = None  # type: ignore[assignment]

log = structlog.get_logger()

LOCK_FILE = "lockfile"
"""What wlmscpfs and those who write for it lock while they work in a folder."""

LOCK_S = 1.0
"""How long a writer is waited for; then every file is judged as it is. A guess."""

LOOK_S = 0.02
"""Between two tries to have that lock. A guess."""

STEP_DATE, STEP_TIME = 0x0040_0002, 0x0040_0003

PN_FORMS = ("Alphabetic", "Ideographic", "Phonetic")
"""PS3.18 F.2.2."""


@dataclass(frozen=True, slots=True)
class Step:
    """One scheduled procedure step, with its patient, request and procedure."""

    file: Path
    record: Record
    """`STEPS` has this step alone."""


@dataclass(frozen=True, slots=True)
class Unusable:
    """A file that is kept out."""

    file: Path
    what: str


@dataclass(frozen=True, slots=True)
class Listing:
    """What a folder holds."""

    steps: tuple[Step, ...] = ()
    """By date, time and file."""
    unusable: tuple[Unusable, ...] = ()


Stamp = tuple[int, int]

_WHICH = "`meshpacs dicom worklist` says which file it is."


@dataclass(slots=True)
class Worklist:
    """One folder; its methods block, and are for threads."""

    folder: Path
    charset: str
    """The defined term for text whose file declares none."""
    _read: dict[Path, tuple[Stamp, tuple[Step, ...] | Unusable]] = field(default_factory=dict)

    def listing(self, title: str) -> Listing:
        """What whoever calls us by this title is to do.

        Raises:
            Unavailable: there is more than is ever served, or the folder cannot be read.
        """
        return self._listing((self.folder, self.folder / title))

    def everything(self) -> Listing:
        """What is there for all titles; raises as `listing` does."""
        folders = [entry for entry in _entries(self.folder) if _is_folder(entry)]
        return self._listing((self.folder, *folders))

    def _listing(self, folders: tuple[Path, ...]) -> Listing:
        steps: list[Step] = []
        unusable: list[Unusable] = []
        seen = set()
        for folder in folders:
            with _shared(folder / LOCK_FILE):
                for file, stamp in _files(folder):
                    seen.add(file)
                    found = self._outcome(file, stamp)
                    if isinstance(found, Unusable):
                        unusable.append(found)
                    else:
                        steps.extend(found)
                    if len(steps) + len(unusable) > WORKLIST_STEPS:
                        raise Unavailable(
                            f"The worklist has more than {WORKLIST_STEPS} scheduled steps.",
                            f"Take what is done, or cannot be used, out of {self.folder}.",
                        )
        # Others read in threads of their own at the same time.
        for gone in [f for f in list(self._read) if f.parent in folders and f not in seen]:
            self._read.pop(gone, None)
        return Listing(tuple(sorted(steps, key=_order)), tuple(unusable))

    def _outcome(self, file: Path, stamp: Stamp) -> tuple[Step, ...] | Unusable:
        kept = self._read.get(file)
        if kept is not None and kept[0] == stamp:
            return kept[1]
        found: tuple[Step, ...] | Unusable
        try:
            found = tuple(_steps(file, _records(file, stamp[1], self.charset)))
        except FileNotFoundError:
            return ()  # its writer has taken it away in this moment
        except (OSError, MalformedIdentifier, LocalFault) as error:
            fault = unreadable(error) if isinstance(error, OSError) else error
            found = Unusable(file, fault.what)
            # Without its name, which may be a patient's.
            log.warning("worklist_file_kept_out", what=found.what, mend=_WHICH)
        self._read[file] = (stamp, found)
        return found


def _order(step: Step) -> tuple[str, str, str]:
    (item,) = step.record[STEPS]
    assert not isinstance(item, str), "a sequence has items"
    date, clock = (str(next(iter(item.get(tag, ())), "")) for tag in (STEP_DATE, STEP_TIME))
    return date, clock, str(step.file)


def _files(folder: Path) -> list[tuple[Path, Stamp]]:
    """The files in question, by name, with time and size."""
    found = []
    for file in _entries(folder):
        if file.suffix.lower() not in (".wl", ".json"):
            continue
        try:
            if file.is_file():
                facts = file.stat()
                found.append((file, (facts.st_mtime_ns, facts.st_size)))
        except FileNotFoundError:
            pass  # its writer has taken it away in this moment
        except OSError:
            found.append((file, (0, 0)))  # whoever reads it will see why
    return found


def _is_folder(entry: Path) -> bool:
    with suppress(OSError):
        return entry.is_dir()
    return False


def _entries(folder: Path) -> list[Path]:
    """What is in a folder, by name; nothing if there is no such folder.

    Raises:
        Unavailable: it cannot be read. To say that nothing is scheduled would be untrue.
    """
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise Unavailable(
            f"The worklist's folder {folder} cannot be read: {error.strerror}.",
            "See that it is there and that the node's user may read it.",
        ) from error


@contextmanager
def _shared(lock: Path) -> Iterator[None]:
    """Hold the folder's lock together with other readers, if it has one."""
    try:
        handle = lock.open("rb")
    except OSError:
        yield
        return
    with handle:
        until = time.monotonic() + LOCK_S
        while fcntl is not None:
            try:
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() > until:
                    break
                time.sleep(LOOK_S)
        yield


# ---------------------------------------------------------------- reading


def _records(file: Path, size: int, charset: str) -> list[Record]:
    if size > WORKLIST_FILE_BYTES:
        raise LocalFault(f"It has more than {WORKLIST_FILE_BYTES} bytes.")
    data = file.read_bytes()
    if file.suffix.lower() == ".json":
        return _from_json(data)
    preface = read_preface(data, whole=True)
    assert preface is not None, "whole"
    if preface.transfer_syntax not in (EXPLICIT_LITTLE, IMPLICIT_LITTLE):
        raise LocalFault("It is neither Explicit nor Implicit VR Little Endian.")
    explicit = preface.transfer_syntax == EXPLICIT_LITTLE
    body = data[preface.offset :]
    default = default_codec(charset)
    return [read_data_set(body, explicit=explicit, default=default, known=vr_of).record]


def _steps(file: Path, records: list[Record]) -> Iterator[Step]:
    for record in records:
        items = [item for item in record.get(STEPS, ()) if not isinstance(item, str)]
        if not items:
            raise LocalFault("It has no Scheduled Procedure Step Sequence (0040,0100).")
        plain = {tag: value for tag, value in record.items() if tag != CHARACTER_SET}
        for item in items:
            yield Step(file, plain | {STEPS: (item,)})


def _from_json(data: bytes) -> list[Record]:
    """The DICOM JSON model (PS3.18 annex F), with keywords for tags and bare values if one likes.

    Raises:
        LocalFault: the error names the attribute.
    """
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise LocalFault(f"It is not JSON: {error}.") from error
    trees = tree if isinstance(tree, list) else [tree]
    return [_record(one, "", 0) for one in trees]


def _record(tree: Any, where: str, depth: int) -> Record:
    if not isinstance(tree, dict):
        raise LocalFault(f"{where or 'It'} is no object with attributes.")
    if depth > IDENTIFIER_DEPTH:
        raise LocalFault(f"{where} is nested deeper than {IDENTIFIER_DEPTH}.")
    record: Record = {}
    for word, said in tree.items():
        tag = tag_of(word)
        known = lexicon(tag) if tag is not None else None
        path = f"{where}.{word}" if where else str(word)
        if tag is None:
            raise LocalFault(f"{path} is neither a keyword of DICOM nor a tag of eight digits.")
        if known is not None:
            record[tag] = _value(said, known.vr, path, depth)
    return record


def _value(said: Any, vr: str, path: str, depth: int) -> Value:
    if isinstance(said, dict) and ("vr" in said or "Value" in said):
        said = said.get("Value", [])
    found = said if isinstance(said, list) else [said]
    if vr == "SQ":
        return tuple(_record(item, path, depth + 1) for item in found)
    return tuple(text for one in found if (text := _text(one, path)))


def _text(one: Any, path: str) -> str:
    if one is None:
        return ""
    if isinstance(one, dict) and one.keys() <= set(PN_FORMS):
        return "=".join(str(one.get(form, "")) for form in PN_FORMS).rstrip("=")
    if isinstance(one, bool) or not isinstance(one, str | int | float):
        raise LocalFault(f"{path} has a value that is neither text nor a number.")
    return str(one).strip()
