"""Files of measured round trips, as the King data set has them (Gummadi, Saroiu, Gribble 2002).

Three forms are read, told apart by their lines; `#` begins a comment, empty lines say nothing:

- a square matrix, one line a machine, as p2psim's `matrix` file (1,740 name servers);
- pairs `1,2 45500`, as p2psim's topology files (`mking-t`); lines that begin with `node`,
  `topology` or `failure_model` are passed over;
- triples `1 2 45500`, as the file of Meridian (Wong, Slivkins, Sirer 2005; 2,500 name servers).

Every number is a round trip, in microseconds unless told otherwise. Machines of pairs and triples
are numbered in the order of their numbers in the file. What was measured in one direction only
holds for both. A value of 0 or less, or none, means that nothing was measured: such a pair gets
the median of all that were, and is counted.
"""

import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path

from meshpacs.model.errors import LocalFault
from meshpacs.model.ids import MILLISECOND, Micros

MACHINES = 5_000
"""Rows of one file at most: 100 MB of numbers."""

LONGEST_US: Micros = 60_000_000
"""A round trip longer than a minute is no round trip; probably the unit is wrong. A guess."""

DIGITS = 24
"""Characters of one value at most. A guess."""

UNITS = {"us": 1, "ms": MILLISECOND}

_PASSED_OVER = ("node", "topology", "failure_model")

_Line = tuple[int, list[str]]


@dataclass(frozen=True, eq=False)
class Delays:
    """Round trips between all pairs of so many machines."""

    size: int
    filled: int
    """Pairs that nobody measured, and that got the median."""
    _rtts_us: "array.array[int]"

    def rtt_us(self, here: int, there: int) -> Micros:
        """Of one pair; 0 from a machine to itself."""
        return self._rtts_us[here * self.size + there]


@lru_cache(maxsize=4)
def read(file: str, unit: str = "us") -> Delays:
    """All round trips of a file.

    Raises:
        LocalFault: it cannot be read, or is none of the three forms.
    """
    if unit not in UNITS:
        raise LocalFault(f"{unit} is no unit of {file}.", f"Use one of {', '.join(UNITS)}.")
    reader = _Reader(file, UNITS[unit])
    try:
        with Path(file).open(encoding="utf-8") as text:
            lines = _lines(text)
            first = list(islice(lines, 4))
            lines = chain(first, lines)
            size, flat = reader.matrix(lines) if _is_matrix(first) else reader.pairs(lines)
    except (OSError, UnicodeDecodeError) as error:
        raise LocalFault(f"{file} cannot be read: {error}.") from error
    return _whole(file, size, flat)


def _lines(text: Iterable[str]) -> Iterator[_Line]:
    """Numbered lines as words; commas separate as spaces do."""
    for number, line in enumerate(text, 1):
        words = line.partition("#")[0].replace(",", " ").split()
        if words and words[0] not in _PASSED_OVER:
            yield number, words


def _is_matrix(first: list[_Line]) -> bool:
    """A first line of three words begins pairs, unless three lines with zeros across are all."""
    if first and len(first[0][1]) != 3:
        return True
    square = len(first) == 3 and all(len(words) == 3 for _, words in first)
    return square and all(words[row] in {"0", "0.0"} for row, (_, words) in enumerate(first))


class _Reader:
    def __init__(self, file: str, unit: int) -> None:
        self._file = file
        self._unit = unit

    def matrix(self, lines: Iterable[_Line]) -> tuple[int, "array.array[int]"]:
        """A line a machine."""
        size = rows = 0
        flat = array.array("i")
        for number, words in lines:
            size = size or len(words)
            rows += 1
            self._bounded(max(size, rows), number)
            if len(words) != size:
                what = f"has {len(words)} numbers, and the first line {size}"
                raise self._wrong(number, what, "A matrix is as wide as it is high.")
            flat.extend(self._row(number, words))
        if rows != size:
            what = f"{self._file} has {rows} lines of {size} numbers."
            raise LocalFault(what, "A matrix is as wide as it is high.")
        return size, flat

    def _row(self, number: int, words: list[str]) -> list[int]:
        """Many values; of a published file most lines are nothing but digits."""
        if all(map(str.isdecimal, words)) and max(map(len, words)) < DIGITS:
            row = [int(word) * self._unit for word in words]
            if max(row) <= LONGEST_US:
                return row
        return [self._micros(number, word) for word in words]

    def pairs(self, lines: Iterable[_Line]) -> tuple[int, "array.array[int]"]:
        """A line a pair."""
        names: dict[int, None] = {}
        found: list[tuple[int, int, int]] = []
        for number, words in lines:
            if len(words) != 3:
                raise self._wrong(
                    number, f"has {len(words)} words", "A line is: machine, machine, round trip."
                )
            here, there = self._name(number, words[0]), self._name(number, words[1])
            found.append((here, there, self._micros(number, words[2])))
            names[here] = names[there] = None
            self._bounded(len(names), number)
        size, index = len(names), {name: at for at, name in enumerate(sorted(names))}
        flat = array.array("i", bytes(4 * size * size))
        for here, there, rtt_us in found:
            flat[index[here] * size + index[there]] = rtt_us
        return size, flat

    def _name(self, number: int, word: str) -> int:
        if not word.isascii() or not word.isdigit():
            raise self._wrong(number, f"{word!r} is no machine's number")
        return int(word)

    def _micros(self, number: int, word: str) -> int:
        """One value, rounded down to whole microseconds; 0 for none."""
        whole, point, fraction = word.partition(".")
        digits = whole.lstrip("-") + fraction
        well = digits.isascii() and digits.isdigit() and (fraction or not point)
        if not well or len(word) > DIGITS:
            raise self._wrong(number, f"{word!r} is no round trip")
        if word.startswith("-"):
            return 0
        value = int(digits) * self._unit // int("1" + "0" * len(fraction))
        if value > LONGEST_US:
            raise self._wrong(number, f"{word} is longer than a minute", "Is the unit right?")
        return value

    def _bounded(self, machines: int, number: int) -> None:
        if machines > MACHINES:
            raise self._wrong(number, f"there are more than {MACHINES} machines")

    def _wrong(self, number: int, what: str, mend: str = "") -> LocalFault:
        return LocalFault(f"{self._file}, line {number}: {what}.", mend)


def _whole(file: str, size: int, flat: "array.array[int]") -> Delays:
    """Fill in what was not measured."""
    if not size:
        raise LocalFault(f"{file} holds no round trips.")
    if size < 2:
        raise LocalFault(f"{file} holds one machine; a round trip wants two.")
    missing: list[tuple[int, int]] = []
    for here in range(size):
        flat[here * size + here] = 0
        for there in range(here):
            one, other = flat[here * size + there], flat[there * size + here]
            if one and other:
                continue
            if not one and not other:
                missing.append((here, there))
            flat[here * size + there] = flat[there * size + here] = one or other
    if not any(flat):
        raise LocalFault(f"{file} holds no round trip of more than 0.")
    if missing:
        measured = sorted(rtt for rtt in flat if rtt)
        median = measured[len(measured) // 2]
        for here, there in missing:
            flat[here * size + there] = flat[there * size + here] = median
    return Delays(size, len(missing), flat)
