"""Workloads as CSV files, to be read by others or to come from them.

A line is an arrival; the first line names the columns, all of them, in this order:

    when_us,clinic,kind,content,study,modality,instances,bytes

`when_us` is microseconds since the world began, never falling; negative for studies that were there
before. `clinic` is a host's number from 0. `kind` is `new` (a study is stored), `exact`, `wild` or
`dates` (a question by a patient's number, by the beginning of the patient's name, by a day).
`content` is the patient's number, or the day's: 0 is the day on which the world begins. The last
four are of new studies alone and empty otherwise; `study` is a number that no other study has,
`modality` one of those in `modalities.py`. Such a file holds numbers, and nobody's name.
"""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path

from meshpacs.model.errors import LocalFault
from meshpacs_sim.world.modalities import CODES, MODALITIES
from meshpacs_sim.world.workloads import NEW, NOTHING, Arrival

COLUMNS = ("when_us", "clinic", "kind", "content", "study", "modality", "instances", "bytes")
KINDS = ("new", "exact", "wild", "dates")

LARGEST = (1 << 63) - 1


def write(arrivals: Iterable[Arrival], file: Path | str) -> int:
    """Keep a workload in a file; how many lines it has.

    Raises:
        LocalFault: the file cannot be written.
    """
    count = 0
    try:
        with Path(file).open("w", encoding="ascii", newline="") as out:
            rows = csv.writer(out, lineterminator="\n")
            rows.writerow(COLUMNS)
            for arrival in arrivals:
                rows.writerow(_row(arrival))
                count += 1
    except OSError as error:
        raise LocalFault(f"{file} cannot be written: {error}.") from error
    return count


def _row(arrival: Arrival) -> tuple[int | str, ...]:
    when, origin, kind, content, study, modality, instances, size_bytes = arrival
    if kind != NEW:
        return when, origin, KINDS[kind], content, "", "", "", ""
    code = MODALITIES[modality].code
    return when, origin, KINDS[kind], content, study, code, instances, size_bytes


def read(file: Path | str, clinics: int) -> Iterator[Arrival]:
    """The arrivals of a file, one by one, for a mesh of so many clinics.

    Raises:
        LocalFault: it cannot be read, or a line is none; it says which, and why.
    """
    try:
        with Path(file).open(encoding="utf-8", newline="") as lines:
            yield from _read(csv.reader(lines), str(file), clinics)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise LocalFault(f"{file} cannot be read: {error}.") from error


def _read(rows: Iterator[list[str]], file: str, clinics: int) -> Iterator[Arrival]:
    if tuple(next(rows, ())) != COLUMNS:
        raise LocalFault(f"{file}, line 1: is not {','.join(COLUMNS)}.")
    last = -LARGEST
    for number, row in enumerate(rows, 2):
        line = _Line(f"{file}, line {number}", row)
        arrival = line.arrival(clinics)
        if arrival.when < last:
            raise line.wrong("when_us", "falls", "Sort the lines by time.")
        last = arrival.when
        yield arrival


class _Line:
    def __init__(self, place: str, row: list[str]) -> None:
        if len(row) != len(COLUMNS):
            raise LocalFault(f"{place}: has {len(row)} values, not {len(COLUMNS)}.")
        self._place = place
        self._values = dict(zip(COLUMNS, row, strict=True))

    def arrival(self, clinics: int) -> Arrival:
        """What the line says."""
        kind = self._values["kind"]
        if kind not in KINDS:
            raise self.wrong("kind", "is not one of " + ", ".join(KINDS))
        clinic = self._number("clinic", 0)
        if clinic >= clinics:
            raise self.wrong("clinic", f"is not one of 0 to {clinics - 1}")
        if kind != "new":
            for column in COLUMNS[4:]:
                if self._values[column]:
                    raise self.wrong(column, "belongs to new studies alone")
            content = self._number("content", 0 if kind != "dates" else -LARGEST)
            return Arrival(self._number("when_us", 0), clinic, KINDS.index(kind), content)
        if self._values["modality"] not in CODES:
            raise self.wrong("modality", "is not one of " + ", ".join(CODES))
        return Arrival(
            self._number("when_us", -LARGEST),
            clinic,
            NEW,
            self._number("content", 0),
            self._number("study", NOTHING + 1),
            CODES[self._values["modality"]],
            self._number("instances", 1),
            self._number("bytes", 1),
        )

    def _number(self, column: str, least: int) -> int:
        text = self._values[column]
        digits = text.removeprefix("-")
        if not (digits.isascii() and digits.isdigit() and len(digits) < len(str(LARGEST))):
            raise self.wrong(column, "is not a whole number")
        if int(text) < least:
            raise self.wrong(column, f"is less than {least}")
        return int(text)

    def wrong(self, column: str, what: str, mend: str = "") -> LocalFault:
        """This line is none."""
        return LocalFault(f"{self._place}: {column} {self._values[column]!r} {what}.", mend)
