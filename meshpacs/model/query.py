"""Queries: a C-FIND identifier, and how far it is to be asked (protocol 4)."""

from dataclasses import dataclass
from enum import StrEnum

from meshpacs.model.attributes import Level, Value
from meshpacs.model.limits import (
    QUERY_KEYS,
    ROWS_PER_HOLDER,
    VALUE_CHARACTERS,
    VALUES_PER_KEY,
)


class Purpose(StrEnum):
    """Why somebody asks; holders decide by it whether they answer (protocol 5.5)."""

    TREATMENT = "treatment"
    RESEARCH = "research"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Rules:
    """What extended negotiation granted (PS3.4 C.5.1.1); all off is the standard's baseline."""

    relational: bool = False
    combined_datetime: bool = False
    empty_value: bool = False
    multiple_value: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """A C-FIND identifier with what was negotiated around it (protocol 4.1)."""

    level: Level
    keys: tuple[tuple[int, Value], ...] = ()
    """Matching keys, sorted by tag; a value `()` matches everything (universal matching)."""
    returns: tuple[int, ...] = ()
    """Tags wanted in the rows beside the matching keys, sorted; empty means all of the level."""
    rules: Rules = Rules()
    purpose: Purpose = Purpose.TREATMENT
    limit: int = ROWS_PER_HOLDER
    """Rows that one holder returns at most."""


@dataclass(frozen=True, slots=True)
class Everyone:
    """Ask the whole mesh; only deduplication stops the flood (protocol 4.3)."""


@dataclass(frozen=True, slots=True)
class Ball:
    """Ask every node within `ttl` hops, 1 to 16; a promise (protocol 4.3)."""

    ttl: int


Scope = Everyone | Ball


def beyond_limits(query: Query) -> str:
    """What is too much in a query, as half a sentence; empty if nothing is."""
    keys = len(query.returns)
    values = [value for _, value in query.keys]
    while values:
        value = values.pop()
        keys += 1
        if len(value) > VALUES_PER_KEY:
            return f"more than {VALUES_PER_KEY} values in one key"
        for item in value:
            if not isinstance(item, str):
                values.extend(item.values())
            elif len(item) > VALUE_CHARACTERS:
                return f"a value of more than {VALUE_CHARACTERS} characters"
    return f"more than {QUERY_KEYS} keys" if keys > QUERY_KEYS else ""
