"""The interoperability matrix: one row a peer, one column a service, each cell tried.

A cell looks at what came of it, at the bytes and rows, and not at an exit code.
"""

from collections.abc import Callable
from dataclasses import dataclass

from clinics.clinic import Broken
from peers.content import PLAIN, ROW, Differs, by_uid, hold_rows, hold_same
from peers.ground import Ground
from peers.peer import Address, Failed, Files, Lacks, Peer, Report
from peers.worklist import EXPECTED

PASS = "pass"
LACKS = "n/a: "
"""What follows is why."""
FAILS = "fail: "

NOT_HERE = 0x0112
SAME, NEW = "same association", "new association"
"""As the node's log has it."""

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
    _echo(ground, peer, peer.echo)


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


def commitment(ground: Ground, peer: Peer) -> None:
    """Storage commitment, reported on the association of the request."""
    _committed(ground, peer, stay=True)


def later_commitment(ground: Ground, peer: Peer) -> None:
    """Storage commitment, reported on an association of the node's."""
    _committed(ground, peer, stay=False)


def _committed(ground: Ground, peer: Peer, *, stay: bool) -> None:
    since = ground.logged()
    here, nowhere = ground.shelf[PLAIN], ground.study(PLAIN)
    (lacking, *_) = nowhere.references
    report = peer.commit((*here.references, lacking), stay=stay)
    if report != Report(frozenset(here.files), {lacking[1]: NOT_HERE}):
        raise Differs(f"the report is {report}")
    ground.wait_logged("commitment_reported", since, calling=peer.title, how=SAME if stay else NEW)


def echo_tls(ground: Ground, peer: Peer) -> None:
    """C-ECHO over TLS, which is spoken at a port of its own."""
    _echo(ground, peer, peer.echo_tls)


def _echo(ground: Ground, peer: Peer, ask: Callable[[], None]) -> None:
    since = ground.logged()
    ask()
    whole = {"calling": peer.title, "echoed": 1, "how": "released"}
    ground.wait_logged("dicom_association_ended", since, **whole)


# ---------------------------------------------------------------- the peer as SCP, the node as SCU


def echoed(ground: Ground, peer: Peer) -> None:
    """C-ECHO."""
    for at in {peer.archive, peer.listens}:
        ground.command("dicom", "echo", where(at))


def found(ground: Ground, peer: Peer) -> None:
    """C-FIND."""
    at, study = peer.archive, ground.held(type(peer))
    for level in ROW:
        key = f"PatientID={study.patient_id}" if level == "STUDY" else ""
        keys = [key or f"StudyInstanceUID={study.uid}"]
        keys += [key for key in ROW[level] if not keys[0].startswith(key + "=")]
        answer = ground.command("dicom", "find", where(at), *keys, "--level", level.lower())
        wanted = [key for key in ROW[level] if key not in peer.unanswered]
        rows = [{key: _sorted(row.get(key, "")) for key in wanted} for row in answer["rows"]]
        hold_rows([{key: row[key] for key in wanted} for row in study.rows(level)], rows)


def stored(ground: Ground, peer: Peer) -> None:
    """C-STORE."""
    at, study = peer.receives, ground.study(peer.exchanges("receive"))
    said = ground.command("dicom", "store", where(at), *map(str, study.files.values()))
    if said["statuses"] != {"0000": len(study.files)}:
        raise Differs(f"the statuses are {said['statuses']}, not sent {said['not_sent']}")
    _hold(peer, "receive", study.files, peer.received(study.uid))


def got(ground: Ground, peer: Peer) -> None:
    """C-GET."""
    at, study = peer.archive, ground.held(type(peer))
    folder = ground.folder / f"got-{peer.title}"
    ground.command("dicom", "get", where(at), study.uid, "--out", str(folder))
    came = by_uid(path for path in folder.rglob("*") if path.is_file())
    _hold(peer, "give", study.files, came)


def moved(ground: Ground, peer: Peer) -> None:
    """C-MOVE."""
    at, study = peer.archive, ground.held(type(peer))
    ground.command("dicom", "move", where(at), study.uid)
    _hold(peer, "give", study.files, ground.stored(study.uid))


def promised(ground: Ground, peer: Peer) -> None:
    """Storage commitment."""
    at, held = peer.commits, ground.held(type(peer))
    lacking = ground.study(PLAIN)
    (uid, file), *_ = lacking.files.items()
    files = [str(path) for path in (*held.files.values(), file)]
    said = ground.command("dicom", "commit", where(at), *files, "--wait", "30", codes=(1,))
    failed = [{"sop_uid": uid, "reason": f"{NOT_HERE:04X}"}]
    if (said["committed"], said["failed"]) != (len(held.files), failed):
        raise Differs(f"the report is {said}")


def echoed_tls(ground: Ground, peer: Peer) -> None:
    """C-ECHO over TLS."""
    at = peer.listens_tls
    said = ground.command("dicom", "check", where(at), "--tls")
    if not said["tls"]:
        raise Differs("it was not over TLS")


COLUMNS = (
    Column("SCU", "echo", "the node's log says that it was asked", echo),
    Column("SCU", "store", "the data sets in the node's archive", store),
    Column("SCU", "find", "the rows of a study and of its series", find),
    Column("SCU", "get", "the files that the peer has written", get),
    Column("SCU", "move", "the files that the peer has received", move),
    Column("SCU", "worklist", "the rows", worklist),
    Column("SCU", "commitment", "the report, on the same association", commitment),
    Column(
        "SCU", "commitment later", "the report, on an association of the node's", later_commitment
    ),
    Column("SCU", "TLS", "C-ECHO, by the node's log", echo_tls),
    Column("SCP", "echo", "the answer to `meshpacs dicom echo`", echoed),
    Column(
        "SCP", "store", "the files that the peer has received by `meshpacs dicom store`", stored
    ),
    Column("SCP", "find", "the rows of `meshpacs dicom find`", found),
    Column("SCP", "get", "the files that `meshpacs dicom get` has written", got),
    Column("SCP", "move", "the data sets in the archive after `meshpacs dicom move`", moved),
    Column("SCP", "commitment", "the report, by `meshpacs dicom commit`", promised),
    Column("SCP", "TLS", "C-ECHO, by `meshpacs dicom check --tls`", echoed_tls),
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


def where(at: Address) -> str:
    """As commands have it."""
    return f"{at.title}@{at.host}:{at.port}"


def _hold(peer: Peer, service: str, sent: Files, came: Files) -> None:
    hold_same(sent, came, verbatim=service in peer.verbatim, private=peer.private)


def _sorted(text: str) -> str:
    return "\\".join(sorted(text.split("\\")))
