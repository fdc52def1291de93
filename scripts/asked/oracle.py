"""A second reading of PS3.4 C.2.2.2, on pydicom's data sets, that shares no code with the first.

Plain where `meshpacs.model.matching` is quick: dates are compared as `datetime` has them, times
digit by digit, wild cards by trying everything, names by pydicom's own components.
"""

import unicodedata
from collections.abc import Iterator
from datetime import date, datetime
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from warnings import catch_warnings, simplefilter

import pydicom
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.valuerep import TM, PersonName


@cache
def corpus() -> tuple[tuple[str, Dataset], ...]:
    """The real files that come with pydicom and pydicom-data: those on disk, read to the pixels."""
    found = []
    for package in ("pydicom", "data_store"):
        spec = find_spec(package)
        assert spec is not None
        assert spec.origin is not None
        found += sorted(p for p in Path(spec.origin).parent.rglob("*") if p.is_file())
    return tuple((path.name, data) for path in found for data in _read(path))


def _read(path: Path) -> Iterator[Dataset]:
    with path.open("rb") as file:
        file.seek(128)
        if file.read(4) != b"DICM":
            return
    try:
        with catch_warnings():
            simplefilter("ignore")  # pydicom warns of much that real files do
            data = pydicom.dcmread(path, stop_before_pixels=True)
            for element in data:
                _ = element.value
            data.decode()
    except Exception:  # noqa: BLE001  what pydicom cannot read is no oracle
        return
    if "SOPInstanceUID" in data and "StudyInstanceUID" in data:
        yield data


def stored(data: Dataset, tag: int) -> list[str]:
    """An element's values as text; none of those that are empty."""
    value: Any = data[tag].value if tag in data and not data[tag].is_empty else []
    many = list(value) if isinstance(value, MultiValue | list) else [value]
    return [text for text in map(_text, many) if text.strip(" \0")]


def _text(value: object) -> str:
    original = getattr(value, "original_string", None)
    return str(value) if original is None or isinstance(value, PersonName) else str(original)


def verdict(vr: str, keys: list[str], values: list[str]) -> bool:
    """Whether one of the key's values matches one of the element's, as `stored` gives them."""
    return any(_one(vr, key, value) for key in keys for value in values)


def _one(vr: str, key: str, value: str) -> bool:
    value = value.strip(" \0")
    if vr == "PN":
        return _name(key, value)
    if vr == "DA":
        return _date(key, value)
    if vr == "TM":
        return _time(key, value)
    if vr in {"IS", "DS", "US"}:
        try:
            return float(key) == float(value)
        except ValueError:
            return key == value
    if vr in {"UI", "AS", "DT"}:
        return key == value
    return glob(key, value)


def glob(key: str, value: str) -> bool:
    """`*` and `?`, by walking every way through the value at once."""
    places = {0}
    for sign in key:
        if sign == "*":
            places = set(range(min(places), len(value) + 1)) if places else set()
        else:
            places = {p + 1 for p in places if p < len(value) and sign in {"?", value[p]}}
    return len(value) in places


def _bare(text: str) -> str:
    wide = unicodedata.normalize("NFKC", text).casefold()
    apart = unicodedata.normalize("NFD", wide)
    kept = "".join(c for c in apart if unicodedata.combining(c) != 230 or ord(c) > 0x36F)
    return unicodedata.normalize("NFC", "".join(c for c in kept if not 0x300 <= ord(c) <= 0x36F))


@cache
def _groups(value: str) -> tuple[str, str, str]:
    person = PersonName(value)
    return person.alphabetic, person.ideographic, person.phonetic


def _name(key: str, value: str) -> bool:
    groups = _groups(value)
    if "=" in key:
        wanted = zip(key.split("="), groups, strict=False)
        return all(not k or glob(_tidy(k), _tidy(group)) for k, group in wanted)
    return any(
        glob(_tidy(key), _tidy(group))
        or ("?" in key and glob(key.lower(), group.lower().rstrip("^ ")))
        for group in groups
        if group
    )


@cache
def _tidy(group: str) -> str:
    parts = [" ".join(part.split()) for part in _bare(group).split("^")]
    while parts and not parts[-1]:
        parts.pop()
    return "^".join(parts)


def _date(key: str, value: str) -> bool:
    def day(text: str) -> date | None:
        try:
            return datetime.strptime(text.replace(".", ""), "%Y%m%d").date()  # noqa: DTZ007
        except ValueError:
            return None

    there = day(value)
    if "-" not in key:
        return day(key) == there if there else key == value
    first, last = (day(part) for part in key.split("-"))
    return there is not None and (first or date.min) <= there <= (last or date.max)


def _time(key: str, value: str) -> bool:
    try:
        there = TM(value.replace(":", ""))
    except ValueError:
        return key == value
    assert there is not None
    digits = f"{there:%H%M%S.%f}"
    key = key.replace(":", "")
    first, last = key.split("-") if "-" in key else (key, key)
    return first <= digits[: len(first)] and (not last or digits[: len(last)] <= last)
