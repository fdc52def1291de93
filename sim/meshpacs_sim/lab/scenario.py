"""Scenarios: one experiment as a frozen value, read from a TOML file, checked whole.

Times are in seconds where a person writes them and in integer microseconds everywhere else.
"""

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from msgspec import Meta

from meshpacs.model.errors import LocalFault
from meshpacs_sim.lab import form, toml
from meshpacs_sim.lab.churning import CHURN, Always, Coming
from meshpacs_sim.lab.form import Misfit, OneOf
from meshpacs_sim.lab.harming import HARM, Adversaries, Nobody
from meshpacs_sim.lab.placing import LEFT, PLACED, SHELVES, Counted, Unchanged
from meshpacs_sim.lab.searching import ENGINE, KERNEL, PLAIN
from meshpacs_sim.lab.shapes import TOPOLOGIES, Regular, Snap, Topology, check
from meshpacs_sim.lab.work import WORK, Work, Workload
from meshpacs_sim.strategies.placement import Placement
from meshpacs_sim.strategies.replication import Replication
from meshpacs_sim.world.conditions import Conditions
from meshpacs_sim.world.latencies import MODELS as LATENCIES
from meshpacs_sim.world.latencies import Constant
from meshpacs_sim.world.network import Latencies, Latency

Fidelity = Literal["engine", "kernel"]

ENGINE_NODES = 5_000
"""What the engine is good for: beyond it one flood takes minutes. A guess."""

KERNEL_NODES = 1_000_000

Seconds = Annotated[float, Meta(ge=0, le=31_536_000)]
"""At most a year."""


@dataclass(frozen=True, slots=True)
class Mesh:
    """Who is there, and who neighbours whom."""

    size: Annotated[int, Meta(ge=2, le=KERNEL_NODES)] = 60
    """Nodes; with the engine at most 5,000."""
    topology: Annotated[Topology, OneOf("kind", TOPOLOGIES)] = field(default_factory=Regular)
    """The shape of the overlay."""
    overlay: Literal["frozen", "own"] = "frozen"
    """`frozen`: the topology's links, which are made again where they fail. `own`: the engine makes
    and mends its links itself, as at clinics; of the topology only the size counts, and a warm-up
    of 130 s lets it settle."""

    def __post_init__(self) -> None:
        """Check that there is such an overlay.

        Raises:
            ValueError: no such topology has so many nodes.
        """
        if self.overlay == "frozen":
            try:
                check(self.topology, self.size)
            except ValueError as error:
                raise ValueError(f"topology: {error}; mesh.size is {self.size:,}") from error


@dataclass(frozen=True, slots=True)
class Content:
    """What is looked for, and how many have it."""

    contents: Annotated[int, Meta(ge=1, le=1_000_000)] = 100
    """Studies that there are."""
    copies: Annotated[
        tuple[Annotated[int, Meta(ge=1, le=KERNEL_NODES)], ...], Meta(min_length=1, max_length=64)
    ] = (1,)
    """Holders of each content, drawn for each. Of several numbers contents take one in turn: one
    run then shows success by replica count."""
    zipf: Annotated[float, Meta(ge=0, le=4)] = 0.0
    """The exponent of popularity: the i-th content is asked for as often as i to the power of minus
    this. 0: all equally often."""
    placement: Annotated[Counted | Placement, OneOf("by", PLACED, plain="counted")] = field(
        default_factory=Counted
    )
    """How a budget of copies is shared out; beside `counted`, `copies` is not looked at."""
    replication: Annotated[Unchanged | Replication, OneOf("rule", LEFT, plain="none")] = field(
        default_factory=Unchanged
    )
    """What earlier searches have left behind."""
    earlier_searches: Annotated[int, Meta(ge=0, le=10_000_000)] = 10_000
    """Searches before the run, with a replication; they find everybody up, and cost nothing."""

    def check(self, nodes: int) -> None:
        """Check what so many nodes can hold.

        Raises:
            ValueError: more copies, or fewer, than there can be.
        """
        if isinstance(self.placement, Placement):
            most, budget = self.contents * nodes, self.placement.budget
            if not self.contents <= budget <= most:
                raise ValueError(
                    f"has content.placement.budget {budget:,}, and {self.contents:,} contents on "
                    f"{nodes:,} nodes have {self.contents:,} to {most:,} copies"
                )
        elif max(self.copies) > nodes:
            raise ValueError(f"has content.copies {max(self.copies)}, and only {nodes} nodes")
        if isinstance(self.replication, Replication) and self.contents * nodes > SHELVES:
            raise ValueError(
                f"has content.replication, which is good for {SHELVES:,} contents times nodes, and "
                f"not for {self.contents:,} times {nodes:,}"
            )


@dataclass(frozen=True, slots=True)
class Measure:
    """How much is measured."""

    queries: Annotated[int, Meta(ge=1, le=10_000_000)] = 100
    """Queries of one run, at most."""
    duration_s: Seconds = 0.0
    """Simulated time in which queries are asked, at most; 0: until all are asked."""
    warm_up_s: Seconds = 5.0
    """Time that passes before the first query, for links and sessions to settle."""
    warm_up_queries: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    """The first so many queries are marked as warm-up."""
    batch: Annotated[int, Meta(ge=1, le=1_000_000)] = 50
    """Queries between two looks at whether the run may stop; with the kernel also those that are
    searched for in one moment, in which nobody comes or goes."""
    half_width: Annotated[float, Meta(ge=0, le=1)] = 0.0
    """Stop once the interval around `of` is at most so wide to each side, relative to the mean; 0:
    never before all queries are asked."""
    of: Literal["discovered", "retrievable", "messages", "bytes", "latency_us"] = "discovered"
    """The column that `half_width` is about."""
    confidence: Annotated[float, Meta(gt=0.5, lt=1)] = 0.95
    """Of intervals."""
    sample_s: Annotated[float, Meta(gt=0, le=31_536_000)] = 60.0
    """Simulated time between two counts of the copies that are up."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One experiment, with one seed."""

    name: Annotated[str, Meta(min_length=1, max_length=200)] = "unnamed"
    """What pictures and reports call it."""
    about: Annotated[str, Meta(max_length=4000)] = ""
    """What it is to show, in a sentence or two."""
    seed: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)] = 1
    """All chance comes from it. What two strategies share (topology, contents, who asks when) does
    not depend on the strategy."""
    fidelity: Fidelity = "engine"
    """`engine`: the program that clinics run, every message. `kernel`: compiled arrays, to a
    million nodes."""
    mesh: Mesh = field(default_factory=Mesh)
    search: Annotated[Any, OneOf("strategy", ENGINE, "fidelity", {"kernel": KERNEL})] = None
    """The way to search, with its parameters."""
    content: Content = field(default_factory=Content)
    workload: Annotated[Work, OneOf("kind", WORK, plain="steady")] = field(default_factory=Workload)
    """Who asks for what, and when."""
    churn: Annotated[Coming, OneOf("model", CHURN)] = field(default_factory=Always)
    """Who is up when."""
    roads: Annotated[Latencies, OneOf("model", LATENCIES)] = field(default_factory=Latency)
    """How long messages take one way."""
    links: Conditions = field(default_factory=Conditions)
    adversaries: Annotated[Adversaries, OneOf("kind", HARM)] = field(default_factory=Nobody)
    """Members that mean harm; they ask nothing themselves."""
    measure: Measure = field(default_factory=Measure)

    def __post_init__(self) -> None:
        """Check what no table can say alone.

        Raises:
            ValueError: a value is impossible beside another.
        """
        if self.search is None:
            kinds = ENGINE if self.fidelity == "engine" else KERNEL
            object.__setattr__(self, "search", kinds[PLAIN]())
        if self.fidelity == "engine" and self.mesh.size > ENGINE_NODES:
            raise ValueError(
                f"has mesh.size {self.mesh.size:,}, and the engine is good for {ENGINE_NODES:,} "
                'nodes; fidelity = "kernel" is for more'
            )
        if self.fidelity == "kernel":
            self._check_kernel()
        if not isinstance(self.workload, Workload) and self.content != Content():
            raise ValueError("has a table content, and a workload that says itself who holds what")
        if not isinstance(self.mesh.topology, Snap):  # its file tells how many nodes there are
            self.content.check(self.mesh.size)

    def _check_kernel(self) -> None:
        only = {
            'mesh.overlay = "own"': self.mesh.overlay == "own",
            "the table links": self.links != Conditions(),
            "the table adversaries": self.adversaries != Nobody(),
            "a roads.model that is neither uniform nor constant": not isinstance(
                self.roads, Latency | Constant
            ),
        }
        for what, wanted in only.items():
            if wanted:
                raise ValueError(f'has {what}, which takes fidelity = "engine"')

    # ------------------------------------------------------------ from and to text

    @classmethod
    def load(cls, file: Path | str) -> Self:
        """Read a file that describes one run.

        Raises:
            LocalFault: it cannot be read, or a key or a value is wrong; it says which, and where.
        """
        tree, text = tree_of(Path(file))
        tree.pop("sweep", None)
        return cls.of(tree, str(file), text)

    @classmethod
    def of(cls, tree: Mapping[str, Any], file: str = "scenario", text: str = "") -> Self:
        """A scenario from a tree of tables.

        Raises:
            LocalFault: as `load`.
        """
        try:
            made = form.read(cls, dict(tree))
        except Misfit as misfit:
            raise form.explained(misfit, file, text) from misfit
        assert isinstance(made, cls)
        return made

    @property
    def tree(self) -> dict[str, Any]:
        """All tables and keys, defaults written out."""
        return form.dump(self)

    @property
    def text(self) -> str:
        """The canonical text: TOML, every key, always in the same order."""
        return toml.text(self.tree)

    @property
    def inputs(self) -> dict[str, str]:
        """The files that the scenario names, each with the SHA-256 of what is in it.

        Raises:
            LocalFault: one cannot be read.
        """
        return {name: _digest_of(Path(name)) for name in _files(self.tree)}

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical text, and of the digests of files that it names."""
        whole = [self.text, *(f"{digest}\n" for digest in self.inputs.values())]
        return hashlib.sha256("".join(whole).encode()).hexdigest()

    def vary(self, values: Mapping[str, Any], file: str = "scenario") -> Self:
        """The same with other values, by dotted keys: `{"mesh.size": 200, "seed": 7}`.

        A table that picks a class by one of its keys is replaced whole.

        Raises:
            LocalFault: a key is unknown, or a value impossible.
        """
        tree = self.tree
        for path, value in values.items():
            put(tree, path, value)
        return type(self).of(tree, file)


def differences(old: str, new: Scenario) -> str:
    """What an older scenario's canonical text has otherwise, for people; empty if nothing."""
    try:
        before, now = _flat(tomllib.loads(old)), _flat(new.tree)
    except tomllib.TOMLDecodeError:
        return ""
    keys = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    told = [f"{key} was {_brief(before, key)}, is {_brief(now, key)}" for key in keys[:DIFFERENCES]]
    return "; ".join(told) + ("; and more" if len(keys) > DIFFERENCES else "")


DIFFERENCES = 3
"""Keys that are told of two scenarios that differ. A guess: then a person looks."""


def _flat(tree: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{path}{key}.")
        else:
            found[path + key] = list(value) if isinstance(value, tuple) else value
    return found


def _brief(values: Mapping[str, Any], key: str) -> str:
    return str(values.get(key, "not there"))[:60]


def put(tree: dict[str, Any], path: str, value: Any) -> None:
    """Set one value in a tree of tables, making the tables above it."""
    *tables, key = path.split(".")
    at = tree
    for table in tables:
        inner = at.setdefault(table, {})
        if not isinstance(inner, dict):
            raise LocalFault(f"{path}: {table} is not a table.", "Name a key of a scenario.")
        at = inner
    at[key] = value


def tree_of(file: Path) -> tuple[dict[str, Any], str]:
    """A TOML file's tables, and its text.

    Raises:
        LocalFault: it cannot be read, or is not TOML.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise LocalFault(f"{file} does not exist.", "Name a scenario file.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise LocalFault(f"{file} cannot be read: {error}.", "Make it readable UTF-8.") from error
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise LocalFault(f"{file} is not TOML: {error}.", "Mend that line.") from error
    _beside(tree, file.absolute().parent)
    return tree, text


FILE_KEY = "file"
"""The key by which any table names a file."""


def _beside(tree: Any, folder: Path) -> None:
    """Names of files are relative to the file that has them."""
    for each in tree.values() if isinstance(tree, dict) else tree:
        if isinstance(each, dict | list):
            _beside(each, folder)
    if isinstance(tree, dict) and isinstance(tree.get(FILE_KEY), str):
        tree[FILE_KEY] = str(folder / tree[FILE_KEY])


def _files(tree: Mapping[str, Any]) -> list[str]:
    found = [each for key, each in tree.items() if key == FILE_KEY and isinstance(each, str)]
    for each in tree.values():
        if isinstance(each, dict):
            found += _files(each)
    return found


def _digest_of(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise LocalFault(
            f"{file} cannot be read: {error.strerror or error}.", "Name a file that is there."
        ) from error
