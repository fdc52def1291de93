"""Matching on real files equals an independent reading with pydicom."""

from collections.abc import Iterator
from random import Random

import pytest
from pydicom.dataset import Dataset

from asked.oracle import corpus, glob, stored, verdict
from meshpacs.model.attributes import ATTRIBUTES, UNMATCHED, Attribute, Level, Record
from meshpacs.model.matching import Matcher
from meshpacs.model.query import Query, Rules

ASKED = tuple(
    a
    for a in ATTRIBUTES
    if a.vr not in {"SQ", "DT", "LT"} and not a.counted and a.tag not in UNMATCHED
)


def record(data: Dataset) -> Record:
    return {a.tag: tuple(stored(data, a.tag)) for a in ASKED if a.tag in data}


def keys(attribute: Attribute, value: str, rng: Random) -> Iterator[list[str]]:
    """Keys that a value suggests: itself, patterns and ranges around it, near misses."""
    value = value.strip(" \0")
    if "\\" in value:
        return
    yield [value]
    match attribute.vr:
        case "DA" if value.isdecimal() and len(value) == 8:
            other = f"{rng.randint(1950, 2025)}{rng.randint(1, 12):02}{rng.randint(1, 28):02}"
            yield ["-".join(sorted([value, other]))]
            yield [f"{value}-"]
            yield [f"-{other}"]
            yield [other]
        case "TM" if value[:2].isdecimal():
            digits = value.replace(":", "").partition(".")[0]
            yield [digits[:4]]
            yield [f"{digits[:4]}-"]
            yield [f"-{digits[:2]}"]
            yield [f"{rng.randint(0, 11):02}-{rng.randint(12, 23):02}"]
        case "UI":
            yield [value, "1.2.3"]
            yield [value + ".1"]
        case "IS" | "DS" | "US":
            yield [f"+{value}" if value[0].isdecimal() else value]
        case "PN":
            for part in value.split("="):
                yield [part.swapcase()]
                yield [part.split("^")[0] + "*"]
                yield ["*" + part[-1:]]
                yield ["?" * len(part.split("^")[0]) + "^*"]
                yield [part + "^^"]
        case "AS":
            yield ["001Y"]
        case _:
            cut = rng.randint(0, len(value))
            yield [value[:cut] + "*"]
            yield ["*" + value[cut:]]
            yield [value[:cut] + "?" + value[cut + 1 :]]
            yield [value.swapcase()]
            yield [value[: cut // 2] + "*" + value[cut:], "nothing"]


@pytest.mark.parametrize("seed", range(2))
def test_every_key_finds_the_same_files(seed: int) -> None:
    rng = Random(seed)
    files = [(name, record(data)) for name, data in corpus()]
    assert len(files) > 200
    hits = asked = 0
    for attribute in ASKED:
        each = [stored(data, attribute.tag) for _, data in corpus()]
        values = sorted({value for held in each for value in held})
        for value in rng.sample(values, min(3, len(values))):
            for key in keys(attribute, value, rng):
                if any(not k.strip("*^ ") for k in key):
                    continue
                query = Query(Level.IMAGE, ((attribute.tag, tuple(key)),))
                judge = Matcher(query, Rules())
                wanted = [
                    name
                    for (name, _), held in zip(files, each, strict=True)
                    if verdict(attribute.vr, key, held)
                ]
                found = [name for name, known in files if judge.matches(known)]
                assert found == wanted, f"seed {seed}: {attribute.keyword}={key!r}"
                hits += bool(found)
                asked += 1
    assert asked > 300
    assert hits > asked // 2


def test_the_oracles_wild_cards_are_right() -> None:
    assert glob("a*b?", "axxbc")
    assert glob("*", "")
    assert not glob("a?", "a")
    assert not glob("b*", "ab")
