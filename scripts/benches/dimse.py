"""The DICOM front door beside Orthanc's, with DCMTK's tools as modality, workstation and receiver.

Two Orthancs, each with its own storage: one as it comes, and one with `TCP_NODELAY=1` in its
environment (it is made of DCMTK, which reads that), for what is measured with Nagle's algorithm
off. Every round has instances of its own, so that nobody finds them there already.
"""

import io
import random
import shutil
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benches.figure import Figure, Goal, at_least, percentile, under
from benches.floor import BARE, bare
from benches.ground import Ground, Stopwatch, Unmeasurable, settle
from clinics.asker import Asker, asking
from clinics.clinic import Clinic, NotHere
from clinics.mesh import alone, mesh
from clinics.orthanc import Orthanc, orthanc, program
from clinics.scanner import ELSEWHERE, Study, slices, write_slices
from clinics.shelf import SIDE, stock_all
from clinics.toolkit import NODELAY, STOCK, get, lacking, move, receiving, store

OURS, THEIRS = "MESHPACS", "ORTHANC"
RECEIVER = "STORESCP"
CALLERS = ("GETSCU", "MOVESCU", "FINDSCU")

COUNT = 200
"""Instances of 0.5 MB of one study: what is stored over one association, and retrieved."""

ASSOCIATIONS = 4
SHARE = 100
"""Instances that each of several associations stores at the same time."""

STUDIES = 10_000
FILLED_AT_ONCE = 500
MESH = 5
QUESTIONS = 500
"""Of one round, one after another on one association."""


def bench(ground: Ground) -> list[Figure]:
    """Storing and retrieving on the disk, then asking of archives in memory."""
    if missing := lacking():
        raise Unmeasurable(
            f"{', '.join(missing)} of DCMTK is not installed (Debian: apt-get install dcmtk)."
        )
    if not has_orthanc():
        ground.say("Orthanc is not installed (Debian: apt-get install orthanc); left out")
    return [*transfers(ground), *_questions(ground)]


def has_orthanc() -> bool:
    """Whether it is installed."""
    try:
        return bool(program())
    except NotHere:
        return False


@contextmanager
def _orthanc(folder: Path, env: Mapping[str, str], receiver: int = 0) -> Iterator[Orthanc]:
    """With its defaults, but that it has to know who asks, retrieves and receives."""
    with orthanc(folder, env=env, verbose=False) as other:
        for caller in CALLERS:
            other.know(caller, caller, "127.0.0.1", 104)
        if receiver:
            other.know(RECEIVER, RECEIVER, "127.0.0.1", receiver)
        yield other


# ---------------------------------------------------------------- storing and retrieving


@dataclass
class _Side:
    """One archive that is measured."""

    port: int
    title: str


@dataclass
class _Sides:
    """The node, and Orthanc as it comes and with Nagle's algorithm off, where there is one."""

    node: _Side
    stock: _Side | None = None
    tuned: _Side | None = None
    took: dict[str, list[float]] = field(default_factory=dict)
    """Seconds of each round, by what was measured."""

    def note(self, name: str, seconds: float) -> None:
        """One measurement."""
        self.took.setdefault(name, []).append(seconds)


class _Media:
    """The files of one round, a folder for each association."""

    def __init__(self, ground: Ground, folder: Path, number: int) -> None:
        count, share = _sizes(ground)
        self._folder = folder
        self._next = number * 100
        self.ground = ground
        self.stock = self._study(count)
        self.tuned = self._study(count)
        self.four = [self._study(share)[1] for _ in range(ASSOCIATIONS)]
        self.meanwhile = [self._study(share)[1] for _ in range(ASSOCIATIONS)]

    def _study(self, count: int) -> tuple[Study, Path]:
        self._next += 1
        study = Study(self._next)
        folder = self._folder / str(study.number)
        write_slices(study, count, folder, seed=self.ground.seed)
        return study, folder


def _sizes(ground: Ground) -> tuple[int, int]:
    return ground.size(COUNT, 10), ground.size(SHARE, 5)


def transfers(ground: Ground) -> list[Figure]:
    """Rounds of storing, retrieving and being asked meanwhile."""
    asked: list[int] = []
    p95s: list[float] = []
    with ground.room("dimse") as room, ExitStack() as stack:
        received = room / "received"
        port = stack.enter_context(receiving(received))
        clinic = stack.enter_context(alone(room))
        clinic.run("dicom", "ae", "add", RECEIVER, f"127.0.0.1:{port}")
        clinic.up()
        sides = _Sides(_Side(clinic.dicom_port, OURS))
        if has_orthanc():
            stock = stack.enter_context(_orthanc(room / "stock", STOCK, port))
            tuned = stack.enter_context(_orthanc(room / "tuned", NODELAY, port))
            sides.stock = _Side(stock.dicom_port, THEIRS)
            sides.tuned = _Side(tuned.dicom_port, THEIRS)
        for number in range(ground.rounds + 1):
            ground.say(f"round {number}" if number else "warming up")
            media = _Media(ground, room / "media", number)
            _store(sides, media, room)
            _retrieve(sides, media, room, received)
            took = _answered_meanwhile(sides.node, media)
            shutil.rmtree(room / "media")
            if number:
                p95s.append(percentile(took, 0.95))
                asked.append(len(took))
            else:
                sides.took.clear()
    return [
        *_transfer_figures(sides, *_sizes(ground)),
        Figure("C-FIND while 4 associations store, p95", "ms", tuple(p95s),
               "study level by PatientID, one after another on one association, while 4 storescu"
               f" with TCP_NODELAY=1 store; at least {min(asked)} questions a round", under(50)),
    ]  # fmt: skip


def _store(sides: _Sides, media: _Media, room: Path) -> None:
    """By turns: what is compared comes right after what it is compared with."""
    for name, side in _pair(sides.stock, sides.node):
        sides.note(f"store {name}", _stored(side, [media.stock[1]], STOCK))
    for name, side in _pair(sides.tuned, sides.node):
        sides.note(f"tuned {name}", _stored(side, [media.tuned[1]], NODELAY))
    sides.note("tuned bare", bare(_files(media.tuned[1]), room / "bare", threads=1))
    for name, side in _pair(sides.tuned, sides.node):
        sides.note(f"four {name}", _stored(side, media.four, NODELAY))
    sides.note("four bare", bare(_files(*media.four), room / "bare", threads=ASSOCIATIONS))


def _retrieve(sides: _Sides, media: _Media, room: Path, received: Path) -> None:
    count = len(_files(media.stock[1]))

    def judge(side: _Side, came: int) -> None:
        if came != count:
            raise Unmeasurable(f"{side.title} gave {came} of {count} instances.")

    for what, (study, _), env, theirs in (
        ("get", media.stock, STOCK, sides.stock),
        ("get tuned", media.tuned, NODELAY, sides.tuned),
    ):
        for name, side in _pair(theirs, sides.node):
            settle()
            seconds, came = get(side.port, side.title, study.uid, room / "got", env)
            judge(side, came)
            sides.note(f"{what} {name}", seconds)
    for name, side in _pair(sides.stock, sides.node):
        settle()
        seconds, came = move(side.port, side.title, media.stock[0].uid, RECEIVER, received)
        judge(side, came)
        sides.note(f"move {name}", seconds)


def _pair(theirs: _Side | None, node: _Side) -> Iterator[tuple[str, _Side]]:
    if theirs is not None:
        yield "Orthanc", theirs
    yield "node", node


def _stored(side: _Side, folders: Sequence[Path], env: Mapping[str, str]) -> float:
    settle()
    return store(side.port, side.title, folders, env)


def _files(*folders: Path) -> list[Path]:
    return [path for folder in folders for path in sorted(folder.iterdir())]


def _answered_meanwhile(node: _Side, media: _Media) -> list[float]:
    """Milliseconds of each answer while four associations store at full speed."""
    took: list[float] = []
    with ThreadPoolExecutor(1) as pool, asking(node.port, node.title) as asker:
        storing = pool.submit(_stored, node, media.meanwhile, NODELAY)
        while not storing.done():
            took.append(_one_answer(asker, media.stock[0]))
        storing.result()
    return took


def _one_answer(asker: Asker, study: Study) -> float:
    with Stopwatch() as watch:
        found = asker.find_patient(study.patient_id)
    if found != 1:
        raise Unmeasurable(f"{found} studies were found under one number, not 1.")
    return watch.s * 1000


def _transfer_figures(sides: _Sides, count: int, share: int) -> list[Figure]:
    rows = (
        ("store", count, "storescu as it comes, 1 association", STOCK, at_least(15), None),
        ("tuned", count, "storescu, 1 association", NODELAY, at_least(1), at_least(0.6)),
        ("four", share * ASSOCIATIONS, f"storescu, {ASSOCIATIONS} associations", NODELAY,
         at_least(1), at_least(0.8)),
        ("get", count, "getscu as it comes", STOCK, at_least(20), None),
        ("get tuned", count, "getscu", NODELAY, at_least(0.8), None),
        ("move", count, "movescu to storescp", STOCK, at_least(1), None),
    )  # fmt: skip
    figures: list[Figure] = []
    for key, many, tool, env, goal, floor in rows:
        what = f"{tool}, TCP_NODELAY=1" if env else tool
        figures += _compared(sides.took, key, many, what, goal, floor)
    return figures


def _compared(
    took: Mapping[str, Sequence[float]],
    key: str,
    many: int,
    what: str,
    goal: Goal,
    floor: Goal | None,
) -> Iterator[Figure]:
    """The node's rate and, where there are such, Orthanc's and the bare disk's, with ratios."""
    ours = took[f"{key} node"]
    how = f"{many} CT instances of 0.5 MB; from the start of DCMTK's tool to its end"
    same = "the same of Orthanc"
    if what.endswith("=1"):
        same += ", with TCP_NODELAY=1 there too"
    floors = f"{BARE}, as many threads as associations"
    yield Figure(f"{what}: node", "/s", _rates(many, ours), how)
    for name, told, wanted in (("Orthanc", same, goal), ("bare", floors, floor)):
        theirs = took.get(f"{key} {name}")
        if theirs is not None:
            yield Figure(f"{what}: {name}", "/s", _rates(many, theirs), told)
            ratios = tuple(t / o for t, o in zip(theirs, ours, strict=True))
            yield Figure(f"{what}: node : {name}", "x", ratios, "round by round", wanted)


def _rates(many: int, took: Sequence[float]) -> tuple[float, ...]:
    return tuple(many / s for s in took)


# ---------------------------------------------------------------- asking


def _questions(ground: Ground) -> list[Figure]:
    """Rounds of questions to Orthanc and to a mesh of one, then to a mesh of several."""
    studies = ground.size(STUDIES, 200)
    size = 2 if ground.quick else MESH
    with ground.memory_room("dimse") as room:
        ground.say(f"filling {size} archives with {studies} studies each")
        shelves = [room / f"shelf-{number}" for number in range(size)]
        stock_all(shelves, [number * ELSEWHERE for number in range(size)], studies, 1)
        alone_ms: list[list[float]] = []
        orthanc_ms: list[list[float]] = []
        with ExitStack() as stack:
            clinic = stack.enter_context(alone(room))
            _lend([shelves[0]], [clinic])
            clinic.up()
            ours = stack.enter_context(asking(clinic.dicom_port, OURS))
            theirs = None
            if has_orthanc():
                # As it comes, it would be slower by 40 ms a question: not its search, its TCP.
                other = stack.enter_context(_orthanc(room / "orthanc", NODELAY))
                ground.say("filling Orthanc with the same studies")
                _fill(other, studies)
                theirs = stack.enter_context(asking(other.dicom_port, THEIRS))
            for number in range(ground.rounds + 1):
                if theirs is not None:
                    orthanc_ms.append(_asked(ground, theirs, studies, number))
                alone_ms.append(_asked(ground, ours, studies, number))
        shutil.move(clinic.archive, shelves[0])
        folder = room / "mesh"
        folder.mkdir()
        ground.say(f"a mesh of {size}")
        with (
            mesh(folder, size, lambda clinics: _lend(shelves, clinics)) as clinics,
            asking(clinics[0].dicom_port, OURS) as ours,
        ):
            mesh_ms = [_asked(ground, ours, studies, n, size) for n in range(ground.rounds + 1)]
    return _question_figures(alone_ms[1:], orthanc_ms[1:], mesh_ms[1:], studies, size)


def _asked(
    ground: Ground, asker: Asker, studies: int, round_number: int, nodes: int = 1
) -> list[float]:
    """Milliseconds of each answer; the same questions to everybody."""
    draw = random.Random(f"{ground.seed}/{round_number}")
    return [
        _one_answer(asker, Study(draw.randrange(nodes) * ELSEWHERE + draw.randrange(studies)))
        for _ in range(ground.size(QUESTIONS, 20))
    ]


def _question_figures(
    ours: Sequence[Sequence[float]],
    theirs: Sequence[Sequence[float]],
    meshed: Sequence[Sequence[float]],
    studies: int,
    size: int,
) -> list[Figure]:
    def rates(rounds: Sequence[Sequence[float]]) -> tuple[float, ...]:
        return tuple(len(took) * 1000 / sum(took) for took in rounds)

    def medians(rounds: Sequence[Sequence[float]]) -> tuple[float, ...]:
        return tuple(median(took) for took in rounds)

    how = (
        f"{studies} studies; {len(ours[0])} questions at study level by PatientID a round, one"
        " after another on one association, in memory"
    )
    figures = [
        Figure("C-FIND, a mesh of one", "/s", rates(ours), how),
        Figure("C-FIND, a mesh of one, p50", "ms", medians(ours), "the same"),
    ]
    if theirs:
        ratios = tuple(o / t for o, t in zip(rates(ours), rates(theirs), strict=True))
        figures += [
            Figure(
                "C-FIND, Orthanc",
                "/s",
                rates(theirs),
                "the same studies and client; TCP_NODELAY=1, or it waits 40 ms each time",
            ),
            Figure("C-FIND, Orthanc, p50", "ms", medians(theirs), "the same"),
            Figure("C-FIND, node : Orthanc", "x", ratios, "rates, round by round", at_least(8)),
        ]
    figures.append(
        Figure(f"C-FIND, a mesh of {size}, p50", "ms", medians(meshed),
               f"{size} nodes with {studies} studies each, all on this machine")
    )  # fmt: skip
    return figures


def _lend(shelves: Sequence[Path], clinics: Sequence[Clinic]) -> None:
    for shelf, clinic in zip(shelves, clinics, strict=True):
        shutil.rmtree(clinic.archive, ignore_errors=True)
        shutil.move(shelf, clinic.archive)


def _fill(other: Orthanc, studies: int) -> None:
    """As zip files of some studies each."""
    for first in range(0, studies, FILLED_AT_ONCE):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as file:
            for number in range(first, min(first + FILLED_AT_ONCE, studies)):
                for content in slices(Study(number), 1, side=SIDE):
                    file.writestr(f"{number}.dcm", content)
        other.ask("/instances", packed.getvalue())
    held = other.ask("/statistics")["CountStudies"]
    if held != studies:
        raise Unmeasurable(f"Orthanc has {held} of {studies} studies.")
