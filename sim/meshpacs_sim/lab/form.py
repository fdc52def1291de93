"""Tables of a TOML file as frozen dataclasses: taken whole, or refused with file, key and reason.

A field of a dataclass is a key; a field that holds another dataclass is a table. Where several
dataclasses may stand, `OneOf` names the key that picks one and the catalogue that it picks from, so
that a strategy or a topology is a scenario's table as soon as its room lists it.
"""

import difflib
import math
import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from meshpacs.model.errors import LocalFault


@dataclass(frozen=True, slots=True)
class OneOf:
    """Marks a field: which dataclass it holds is said by one of its keys."""

    key: str
    """The key whose value picks the class."""
    catalogue: Mapping[str, type]
    by: str = ""
    """The top key whose value decides which catalogue holds; `catalogue` is for its default."""
    others: Mapping[str, Mapping[str, type]] = field(default_factory=dict)
    """The catalogues of that key's other values."""
    plain: str = ""
    """What is meant where the table lacks the key; empty: it must have it."""

    def word(self, value: object) -> str:
        """What picks the class of this value.

        Raises:
            ValueError: no class of any catalogue fits.
        """
        for catalogue in (self.catalogue, *self.others.values()):
            for word, kind in catalogue.items():
                if type(value) is kind:
                    return word
        raise ValueError(f"{type(value).__name__} is none of {', '.join(self.catalogue)}")


class Misfit(Exception):
    """A key does not fit: which one, why, and what would."""

    def __init__(self, path: str, what: str, mend: str = "") -> None:
        """`path` is dotted, from the top of the file."""
        super().__init__(path, what, mend)
        self.path = path
        self.what = what
        self.mend = mend


def read(kind: type, table: object, path: str = "", top: Mapping[str, Any] | None = None) -> Any:
    """An instance of the dataclass `kind` from a table; `top` is the table around all others.

    Raises:
        Misfit: a key is unknown, missing, of the wrong type or has an impossible value.
    """
    if not isinstance(table, dict):
        raise Misfit(path, "is not a table", f"Write [{path}] and its keys below.")
    known = [each.name for each in fields(kind)]
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            keys = f"Known keys here: {', '.join(known)}." if known else "It has no keys."
            raise Misfit(
                _join(path, key), "is not known", f"Did you mean {near[0]}?" if near else keys
            )
    hints, values = get_type_hints(kind, include_extras=True), {}
    top = table if top is None else top
    for each in fields(kind):
        here = _join(path, each.name)
        if each.name in table:
            values[each.name] = _value(hints[each.name], table[each.name], here, top)
        elif each.default is MISSING and each.default_factory is MISSING:
            raise Misfit(here, "is missing", "It has no default.")
    try:
        return kind(**values)
    except ValueError as error:
        raise _of_a_key(path, str(error), known) from error


def _of_a_key(path: str, reason: str, known: list[str]) -> Misfit:
    """A dataclass's own refusal; where it begins with one of its keys, that key's."""
    key, colon, rest = reason.partition(": ")
    if not colon or key not in known:
        return Misfit(path, reason)
    return Misfit(_join(path, key), rest if rest.startswith("is ") else f"is wrong: {rest}")


def dump(value: Any, kind: Any = None) -> dict[str, Any]:
    """The table that `read` makes this dataclass of again, defaults written out."""
    table: dict[str, Any] = {}
    if kind is not None and (choice := one_of(kind)):
        table[choice.key] = choice.word(value)
    hints = get_type_hints(type(value), include_extras=True)
    for each in fields(value):
        held = getattr(value, each.name)
        if is_dataclass(held):
            table[each.name] = dump(held, hints[each.name])
        elif held is not None:
            table[each.name] = msgspec.to_builtins(held)
    return table


def one_of(hint: Any) -> OneOf | None:
    """The mark of a field's type, if it has one."""
    if get_origin(hint) is Annotated:
        return next((mark for mark in get_args(hint)[1:] if isinstance(mark, OneOf)), None)
    return None


def _value(hint: Any, value: object, path: str, top: Mapping[str, Any]) -> Any:
    if choice := one_of(hint):
        return _chosen(choice, value, path, top)
    if is_dataclass(hint) and isinstance(hint, type):
        return read(hint, value, path, top)
    inner = get_args(hint)[0] if get_origin(hint) is tuple else None
    if is_dataclass(inner) and isinstance(inner, type):
        if not isinstance(value, list | tuple):
            raise Misfit(path, "is not a list of tables", f"Write [[{path}]] for each.")
        return tuple(read(inner, each, f"{path}[{n}]", top) for n, each in enumerate(value))
    if isinstance(value, float) and not math.isfinite(value):
        raise Misfit(path, f"is {value}", "Write a finite number.")
    try:
        return msgspec.convert(value, hint)
    except msgspec.ValidationError as error:
        told, words = _plain(str(error)), get_args(hint)
        if get_origin(hint) is Literal:
            near = difflib.get_close_matches(str(value), words, n=1)
            mend = f"Did you mean {near[0]}? " if near else ""
            raise Misfit(path, told, f"{mend}It is one of {', '.join(words)}.") from error
        raise Misfit(path, told) from error


def _chosen(choice: OneOf, value: object, path: str, top: Mapping[str, Any]) -> Any:
    if not isinstance(value, dict):
        raise Misfit(path, "is not a table", f'Write [{path}] and {choice.key} = "…" below.')
    catalogue = choice.others.get(str(top.get(choice.by)), choice.catalogue)
    rest = dict(value)
    word = rest.pop(choice.key, choice.plain or None)
    here, kinds = _join(path, choice.key), f"It is one of {', '.join(catalogue)}."
    if word is None:
        raise Misfit(here, "is missing", kinds)
    if not isinstance(word, str) or word not in catalogue:
        near = difflib.get_close_matches(str(word), catalogue, n=1)
        with_ = f' with {choice.by} = "{top.get(choice.by)}"' if choice.by in top else ""
        mend = f"Did you mean {near[0]}? {kinds}" if near else kinds
        mend += _elsewhere(choice, str(word))
        raise Misfit(here, f"cannot be {word!r}{with_}", mend)
    return read(catalogue[word], rest, path, top)


def _elsewhere(choice: OneOf, word: str) -> str:
    """With what the word that does not fit would."""
    fitting = [other for other, catalogue in choice.others.items() if word in catalogue]
    return f' {word} takes {choice.by} = "{fitting[0]}", at the top of the file.' if fitting else ""


_WORDS = {
    "str": "text in quotes",
    "array": "a list in brackets",
    "object": "a table",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
}


def _plain(message: str) -> str:
    """What msgspec says, in the words of somebody who has a file before them."""
    message = re.sub(r" - at `\$(.*?)`$", "", message)
    words = re.sub(r"`(\w+)(?: \| null)?`", lambda found: _WORDS.get(found[1], found[1]), message)
    return words.replace("Expected", "is wrong: expected").replace(
        "Invalid enum value", "is wrong:"
    )


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def explained(misfit: Misfit, file: str, text: str = "", whole: str = "the scenario") -> LocalFault:
    """The fault that a person is told; with the line, where the text has that key."""
    # What two tables make impossible together is said of the whole: its words name the first.
    named = _NAMED.search(misfit.what)
    path = misfit.path or (named[1] or named[2] if named else "")
    line = line_of(path, text)
    place = f"{file}, line {line}" if line else file
    return LocalFault(f"{place}: {misfit.path or whole} {misfit.what}.", misfit.mend)


_NAMED = re.compile(r"\bthe table (\w+)|\b([a-z_]+(?:\.[a-z_]+)+)")
_HEAD = re.compile(r"^\s*\[{1,2}([^\]]+)\]{1,2}\s*(?:#.*)?$")
_KEY = re.compile(r"^\s*([A-Za-z0-9_.\"'-]+)\s*=")


def line_of(path: str, text: str) -> int:
    """The line of a key, or else of the innermost table around it; 0 if none is found.

    Good for scenarios as people write them; not a parser: inline tables have no lines of their own.
    """
    at, best, depth = "", 0, 0
    turns: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if head := _HEAD.match(line):
            here = at = _counted(_bare(head[1]), turns, another=line.lstrip().startswith("[["))
        elif key := _KEY.match(line):
            here = _join(at, _bare(key[1]))
        else:
            continue
        inside = path == here or path.startswith(here + ".")
        if inside and len(here) > depth:
            best, depth = number, len(here)
    return best


def _counted(name: str, turns: dict[str, int], *, another: bool) -> str:
    """A table's path, with numbers where there are several of a name: [[site]] is site[0]."""
    if another:
        turns[name] = turns.get(name, -1) + 1
    parts: list[str] = []
    for part in name.split("."):
        parts.append(part)
        plain = re.sub(r"\[\d+\]", "", ".".join(parts))
        if plain in turns:
            parts[-1] += f"[{turns[plain]}]"
    return ".".join(parts)


def _bare(key: str) -> str:
    return key.strip().replace('"', "").replace("'", "").replace(" ", "")
