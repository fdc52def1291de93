"""Every key of a scenario, with type, default and meaning, read from the dataclasses themselves.

The text of a key is the docstring below its field; so code, `meshpacs-sim keys` and
docs/SIMULATOR.md cannot say different things. `python -m meshpacs_sim.lab.keys
docs/SIMULATOR.md` writes it anew there.
"""

import ast
import inspect
import sys
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from meshpacs_sim.lab import form, toml
from meshpacs_sim.lab.grids import Table
from meshpacs_sim.lab.scenario import Scenario
from meshpacs_sim.lab.searching import PLAIN


@dataclass(frozen=True, slots=True)
class Key:
    """One key."""

    name: str
    kind: str
    default: str
    """As it would stand in a file; empty: it must be given."""
    means: str


@dataclass(frozen=True, slots=True)
class Keys:
    """One table."""

    table: str
    """With what picks it: `mesh.topology, kind = "grid"`."""
    about: str
    keys: tuple[Key, ...]
    room: str
    """Whose class it is: `lab`, `strategies`, …"""


def tables(kind: type = Scenario, path: str = "") -> Iterator[Keys]:
    """All tables, the outermost first."""
    hints = get_type_hints(kind, include_extras=True)
    yield _table(path, kind)
    for each in fields(kind):
        here, hint = f"{path}.{each.name}" if path else each.name, hints[each.name]
        choice = form.one_of(hint)
        if choice is not None:
            catalogues: list[tuple[str, Mapping[str, type]]] = [("", choice.catalogue)]
            catalogues += [(f"{choice.by} {word}", one) for word, one in choice.others.items()]
            for when, catalogue in catalogues:
                for word, one in catalogue.items():
                    name = f'{here}, {choice.key} = "{word}"' + (f" ({when})" if when else "")
                    yield _table(name, one)
        elif is_dataclass(hint) and isinstance(hint, type):
            yield from tables(hint, here)
    if kind is Scenario:
        yield from tables(Table, "sweep")


def markdown() -> str:
    """The reference of docs/SIMULATOR.md."""
    return "\n\n".join(map(block, tables())) + "\n"


def block(table: Keys) -> str:
    """One table of it."""
    head = f"**`[{table.table}]`** " if table.table else "**At the top** "
    lines = [head + table.about]
    if table.keys:
        lines += ["", "| key | value | default | |", "|---|---|---|---|"]
        lines += [
            f"| `{key.name}` | {key.kind} | {f'`{key.default}`' if key.default else 'none'} "
            f"| {key.means} |"
            for key in table.keys
        ]
    return "\n".join(lines)


def _table(path: str, kind: type) -> Keys:
    return Keys(path, _about(kind), tuple(_keys(kind)), kind.__module__.split(".")[1])


def _keys(kind: type) -> Iterator[Key]:
    hints, texts = get_type_hints(kind, include_extras=True), _texts(kind)
    for each in fields(kind):
        hint = hints[each.name]
        is_table = form.one_of(hint) is None and is_dataclass(hint)
        if not is_table:
            means = texts.get(each.name, "")
            yield Key(each.name, _kind(hint), _default(each, hint), means)


def _default(each: "Field[Any]", hint: Any) -> str:
    value = each.default
    if value is MISSING:
        if each.default_factory is MISSING:
            return ""
        value = each.default_factory()
    choice = form.one_of(hint)
    if choice is not None:
        return f'{{ {choice.key} = "{PLAIN if value is None else choice.word(value)}" }}'
    return toml.value(msgspec.to_builtins(value))


def _kind(hint: Any) -> str:
    """A field's type and bounds, for people."""
    if form.one_of(hint) is not None:
        return "table"
    if get_origin(hint) is Annotated:
        inner, *marks = get_args(hint)
        bounds = "".join(_bounds(mark) for mark in marks)
        return _kind(inner) + bounds
    if get_origin(hint) is Literal:
        return ", ".join(f'`"{each}"`' for each in get_args(hint))
    if get_origin(hint) is tuple:
        return f"list of: {_kind(get_args(hint)[0])}"
    if get_args(hint) and get_origin(hint) is not dict:
        return " or ".join(_kind(each) for each in get_args(hint) if each is not type(None))
    words = {int: "whole number", float: "number", str: "text", bool: "true or false"}
    return words.get(hint, "table")


def _bounds(mark: Any) -> str:
    if not isinstance(mark, msgspec.Meta):
        return ""
    low = mark.ge if mark.ge is not None else mark.gt
    high = mark.le if mark.le is not None else mark.lt
    if low is None and high is None:
        return ""
    # More than 2^53 is written by its bound's name nowhere else; a person needs no digits of it.
    upper = f"{high:,}" if high is not None and high < 1 << 53 else "2^63"
    if high is None:
        return f", {'from' if mark.ge is not None else 'above'} {low:,}"
    first, last = ("" if mark.gt is None else "above "), ("" if mark.lt is None else "below ")
    return f", {first}{low:,} to {last}{upper}"


def _about(kind: type) -> str:
    return " ".join((inspect.getdoc(kind) or "").split("\n\n")[0].split())


def _texts(kind: type) -> dict[str, str]:
    """The docstrings below a dataclass's fields, those of the classes that it is made of too."""
    texts: dict[str, str] = {}
    for each in reversed(kind.__mro__):
        if is_dataclass(each):
            texts |= _own_texts(each)
    return texts


def _own_texts(kind: type) -> dict[str, str]:
    body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(body, ast.ClassDef)
    texts, name = {}, ""
    for line in body.body:
        match line:
            case ast.AnnAssign(target=ast.Name(id=told)):
                name = told
            case ast.Expr(value=ast.Constant(value=str(text))) if name:
                texts[name] = " ".join(text.split())
                name = ""
            case _:
                name = ""
    return texts


HEAD = "### Every key\n"
"""Above the reference in the document; the next section's head ends it."""


def rewrite(document: Path) -> None:
    """Put the reference of now in the place of the one that is there."""
    before, head, rest = document.read_text(encoding="utf-8").partition(HEAD)
    _, end, after = rest.partition("\n## ")
    document.write_text(f"{before}{head}\n{markdown()}{end}{after}", encoding="utf-8")


if __name__ == "__main__":
    rewrite(Path(sys.argv[1]))
