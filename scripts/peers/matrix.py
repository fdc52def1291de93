"""The interoperability matrix: one row a peer, one column a service, each cell tried.

A cell looks at what came of it, at the bytes and rows, and not at an exit code.
"""

from collections.abc import Callable
from dataclasses import dataclass

from clinics.clinic import Broken
from peers.content import PLAIN, ROW, Differs, hold_rows, hold_same
from peers.ground import Ground
from peers.peer import Failed, Files, Lacks, Peer
from peers.worklist import EXPECTED

PASS = "pass"
LACKS = "n/a: "
"""What follows is why."""
FAILS = "fail: "

Check = Callable[[Ground, Peer], None]


@dataclass(frozen=True, slots=True)
class Column:
    """One service, with the peer on one side of it."""

    role: str
    """The peer's."""
    service: str
    what: str
    """What is looked at, for a person."""
    check: Check

    @property
    def name(self) -> str:
        """As the expected list has it."""
        return f"{self.role} {self.service}"


# ---------------------------------------------------------------- the peer as SCU, the node as SCP


def echo(ground: Ground, peer: Peer) -> None:
    """C-ECHO."""
    since = ground.logged()
    peer.echo()
    ground.wait_logged(
        "dicom_association_ended", since, calling=peer.title, echoed=1, how="released"
    )


def store(ground: Ground, peer: Peer) -> None:
    """C-STORE."""
    study = ground.study(peer.exchanges("store"))
    peer.store(tuple(study.files.values()))
    _hold(peer, "store", study.files, ground.stored(study.uid))


def find(ground: Ground, peer: Peer) -> None:
    """C-FIND."""
    study = ground.shelf[PLAIN]
    for level in ROW:
        keys = {"PatientID": study.patient_id} if level == "STUDY" else {}
        keys |= {"StudyInstanceUID": study.uid} if level == "SERIES" else {}
        hold_rows(study.rows(level), peer.find(level, keys).rows)


def get(ground: Ground, peer: Peer) -> None:
    """C-GET."""
    study = ground.shelf[peer.exchanges("get")]
    _hold(peer, "get", study.files, peer.get(study.uid))


def move(ground: Ground, peer: Peer) -> None:
    """C-MOVE."""
    study = ground.shelf[peer.exchanges("move")]
    _hold(peer, "move", study.files, peer.move(study.uid))


def worklist(_ground: Ground, peer: Peer) -> None:
    """C-FIND of the modality worklist."""
    hold_rows(EXPECTED, peer.worklist())


# ---------------------------------------------------------------- the peer as SCP, the node as SCU


def echoed(ground: Ground, peer: Peer) -> None:
    """C-ECHO."""
    for at in {peer.archive, peer.listens}:
        ground.command("dicom", "check", f"{at.title}@{at.host}:{at.port}")


def found(ground: Ground, peer: Peer) -> None:
    """C-FIND."""
    at, study = peer.archive, ground.held(type(peer))
    for level in ROW:
        key = f"PatientID={study.patient_id}" if level == "STUDY" else ""
        keys = [key or f"StudyInstanceUID={study.uid}"]
        keys += [key for key in ROW[level] if not keys[0].startswith(key + "=")]
        where = f"{at.title}@{at.host}:{at.port}"
        answer = ground.command("dicom", "find", where, *keys, "--level", level.lower())
        wanted = [key for key in ROW[level] if key not in peer.unanswered]
        rows = [{key: _sorted(row.get(key, "")) for key in wanted} for row in answer["rows"]]
        hold_rows([{key: row[key] for key in wanted} for row in study.rows(level)], rows)


COLUMNS = (
    Column("SCU", "echo", "the node's log says that it was asked", echo),
    Column("SCU", "store", "the data sets in the node's archive", store),
    Column("SCU", "find", "the rows of a study and of its series", find),
    Column("SCU", "get", "the files that the peer has written", get),
    Column("SCU", "move", "the files that the peer has received", move),
    Column("SCU", "worklist", "the rows", worklist),
    Column("SCP", "echo", "the answer to `meshpacs dicom check`", echoed),
    Column("SCP", "find", "the rows of `meshpacs dicom find`", found),
)


def judge(ground: Ground, kind: type[Peer], column: Column) -> str:
    """Try one cell.

    Raises:
        NotHere: the peer is not installed.
    """
    try:
        column.check(ground, ground.peer(kind))
    except Lacks as lack:
        return f"{LACKS}{lack}"
    except (Failed, Differs, Broken) as fault:
        return f"{FAILS}{fault}"
    return PASS


def same(verdict: str, wanted: str) -> bool:
    """Whether a cell is as it was: not why it fails, but why the peer lacks it counts."""
    return verdict == wanted or (verdict.startswith(FAILS) and wanted.startswith(FAILS))


def _hold(peer: Peer, service: str, sent: Files, came: Files) -> None:
    hold_same(sent, came, verbatim=service in peer.verbatim, private=peer.private)


def _sorted(text: str) -> str:
    return "\\".join(sorted(text.split("\\")))
