"""What clinics do all day: studies come in, and people ask for patients.

A workload is a sequence of arrivals, plain tuples of integers in the order of time. It is a
function of the seed and of the number of clinics: the k-th study and the k-th question draw for
themselves, so that one more question a day changes no study.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import merge
from typing import NamedTuple

from meshpacs.engine.draws import draw, word
from meshpacs.model.ids import SECOND, Micros
from meshpacs_sim.world.modalities import MODALITIES, Modality
from meshpacs_sim.world.quantiles import SCALE, exponential, lognormal, pick, popularity, rank_of

HOUR_US: Micros = 3600 * SECOND
DAY_US: Micros = 24 * HOUR_US

NEW, EXACT, WILD, DATES = range(4)
"""Kinds of arrivals: a study is stored; a question by a patient's number, by the beginning of a
name, by a day."""

NOTHING = -1


class Arrival(NamedTuple):
    """One thing that happens at one clinic; all are integers."""

    when: Micros
    """Since the world began; negative for studies that were there before."""
    origin: int
    """The clinic: where a study is stored, or who asks."""
    kind: int
    content: int
    """The patient's number; of a question by a day, the day's (0: on which the world begins)."""
    study: int = NOTHING
    """Of a new one its number, and in the next three what it is made of."""
    modality: int = NOTHING
    """Its place in `MODALITIES`."""
    instances: int = 0
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Flash:
    """All of a sudden everybody asks for one patient."""

    at_us: Micros
    lasts_us: Micros
    questions: int
    patient: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if self.at_us < 0 or self.lasts_us <= 0 or self.questions < 0 or self.patient < 0:
            raise ValueError("flash: at_us, questions, patient: 0 or more; lasts_us: more than 0")


OFFICE = (1, 1, 1, 1, 1, 2, 6, 30, 80, 100, 100, 95, 70, 75, 95, 90, 70, 40, 20, 10, 6, 4, 2, 1)
"""How busy each hour of a day is, beside the others: mornings most, lunch less, nights an emergency
now and then. A guess."""

WEEK = (100, 100, 100, 100, 90, 15, 10)
"""How busy each day is beside a Monday, in hundredths, Monday to Sunday. A guess."""


@dataclass(frozen=True, slots=True)
class Clinics:
    """A mesh's clinics at work. Numbers without another source are guesses."""

    patients: int = 2_000
    """Patients of the whole mesh. Number 0 is the one who is seen, and asked for, most often."""
    zipf_percent: int = 80
    """The exponent of their popularity, in hundredths; 0: all alike."""
    studies_before: int = 4_000
    """Studies that the mesh holds when it begins."""
    before_days: int = 1_825
    """The oldest of them."""
    studies_a_day: int = 30
    """New ones of an average clinic on a Monday."""
    questions_a_day: int = 100
    """Of an average clinic on a Monday."""
    circle: int = 4
    """Clinics that one patient goes to, the one at home among them: priors lie at these."""
    elsewhere_percent: int = 30
    """How often a patient is seen, and asked for, at another of these than at home."""
    recent_percent: int = 50
    """Questions about the patient of one of the latest studies; the others are by popularity."""
    recent_studies: int = 500
    """How many studies are the latest; of these the n-th last is n times as seldom as the last."""
    wild_percent: int = 10
    """Questions by the beginning of a name."""
    dates_percent: int = 10
    """Questions for all studies of one day, today or yesterday; all others are by number."""
    hours: tuple[int, ...] = OFFICE
    days: tuple[int, ...] = WEEK
    starts_hour: int = 8
    """The hour of a Monday at which the world begins."""
    flashes: tuple[Flash, ...] = ()
    modalities: tuple[Modality, ...] = MODALITIES

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        for name in ("patients", "before_days", "circle", "recent_studies"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: {getattr(self, name)} is less than 1")
        for name in ("studies_before", "studies_a_day", "questions_a_day", "zipf_percent"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: {getattr(self, name)} is less than 0")
        for name in ("elsewhere_percent", "recent_percent", "wild_percent", "dates_percent"):
            if not 0 <= getattr(self, name) <= 100:
                raise ValueError(f"{name}: {getattr(self, name)} is not between 0 and 100")
        if self.wild_percent + self.dates_percent > 100:
            raise ValueError("wild_percent, dates_percent: are more than 100 together")
        for name, length in (("hours", 24), ("days", 7)):
            numbers = getattr(self, name)
            if len(numbers) != length or min(numbers) < 0 or not any(numbers):
                raise ValueError(f"{name}: is not {length} numbers of 0 or more, one of them more")
        if not 0 <= self.starts_hour < 24:
            raise ValueError(f"starts_hour: {self.starts_hour} is not an hour of 0 to 23")
        if any(flash.patient >= self.patients for flash in self.flashes):
            raise ValueError("flashes: there is no such patient")
        if not any(modality.per_mille for modality in self.modalities):
            raise ValueError("modalities: none has a share")

    def arrivals(self, seed: int, size: int, until: Micros) -> Iterator[Arrival]:
        """All that happens at so many clinics before this moment, in order.

        First come the studies that were there before, at negative times.
        """
        return _Making(self, seed, size).arrivals(until)

    def hour(self, when: Micros) -> int:
        """The hour of the day, 0 to 23."""
        return (when // HOUR_US + self.starts_hour) % 24

    def day(self, when: Micros) -> int:
        """The number of the day, 0 when the world begins."""
        return (when + self.starts_hour * HOUR_US) // DAY_US


class _Making:
    """One workload in the making: draws, and the latest studies."""

    def __init__(self, clinics: Clinics, seed: int, size: int) -> None:
        self._clinics = clinics
        self._seed = seed
        self._size = size
        self._popular = popularity(clinics.patients, clinics.zipf_percent)
        self._recency = popularity(clinics.recent_studies, 100)
        self._recent: deque[int] = deque(maxlen=clinics.recent_studies)
        """Patients of the latest studies, the last in front."""

    def arrivals(self, until: Micros) -> Iterator[Arrival]:
        clinics = self._clinics
        for number in range(clinics.studies_before):
            yield self._study(self._before(number), number)
        streams = [
            self._stream(_STUDIES, clinics.studies_a_day, until),
            self._stream(_QUESTIONS, clinics.questions_a_day, until),
            *(self._crowd(place, until) for place in range(len(clinics.flashes))),
        ]
        for when, stream, number in merge(*streams):
            if stream == _STUDIES:
                yield self._study(when, clinics.studies_before + number)
            elif stream == _QUESTIONS:
                yield self._question(when, number)
            else:
                origin = self._below(number, _CROWD, 0, self._size)
                flash = clinics.flashes[(number >> 32) - 1]
                yield Arrival(when, origin, EXACT, flash.patient)

    # ------------------------------------------------------------ when

    def _before(self, number: int) -> Micros:
        """One in each of as many equal spans of the days before."""
        count, span_us = self._clinics.studies_before, self._clinics.before_days * DAY_US
        start, end = span_us * number // count, span_us * (number + 1) // count
        return start + self._below(number, _BEFORE, 0, end - start) - span_us

    def _stream(self, stream: int, a_day: int, until: Micros) -> Iterator[tuple[int, int, int]]:
        """A Poisson process whose rate changes with the hour and the day."""
        clinics, gaps = self._clinics, exponential()
        whole = sum(clinics.hours) * 100  # the weights of a Monday's hours, and its hundredths
        number = hour = 0
        wanted = gaps[pick(draw(self._seed, 0, _GAP, stream))] * whole
        while (start := hour * HOUR_US) < until:
            busy = clinics.hours[(hour + clinics.starts_hour) % 24]
            weekday = (hour + clinics.starts_hour) // 24 % 7
            room = a_day * self._size * busy * clinics.days[weekday] * SCALE
            gone = 0
            while gone + wanted <= room and room:
                gone += wanted
                when = start + HOUR_US * gone // (room + 1)
                if when >= until:
                    return
                yield when, stream, number
                number += 1
                wanted = gaps[pick(draw(self._seed, number, _GAP, stream))] * whole
            wanted -= room - gone
            hour += 1

    def _crowd(self, place: int, until: Micros) -> Iterator[tuple[int, int, int]]:
        flash, first = self._clinics.flashes[place], (place + 1) << 32
        drawn = (
            (flash.at_us + self._below(number, _CROWD, 1, flash.lasts_us), number)
            for number in range(first, first + flash.questions)
        )
        for when, number in sorted(drawn):
            if when < until:
                yield when, _CROWDS, number

    # ------------------------------------------------------------ what

    def _study(self, when: Micros, number: int) -> Arrival:
        patient = rank_of(self._popular, draw(self._seed, number, _STUDY, 0))
        modalities = self._clinics.modalities
        left = self._below(number, _STUDY, 1, sum(each.per_mille for each in modalities))
        kind = 0
        while left >= modalities[kind].per_mille:
            left -= modalities[kind].per_mille
            kind += 1
        modality = modalities[kind]
        slot = pick(draw(self._seed, number, _STUDY, 2))
        instances = max(1, lognormal(modality.instances * 16, modality.spread_percent)[slot] // 16)
        self._recent.appendleft(patient)
        origin = self._clinic(patient, number, _STUDY)
        size_bytes = instances * modality.instance_bytes
        return Arrival(when, origin, NEW, patient, number, kind, instances, size_bytes)

    def _question(self, when: Micros, number: int) -> Arrival:
        clinics = self._clinics
        patient = rank_of(self._popular, draw(self._seed, number, _QUESTION, 0))
        if self._recent and self._below(number, _QUESTION, 1, 100) < clinics.recent_percent:
            rank = rank_of(self._recency, draw(self._seed, number, _QUESTION, 2))
            patient = self._recent[rank % len(self._recent)]
        origin = self._clinic(patient, number, _QUESTION)
        kind = self._below(number, _QUESTION, 3, 100)
        if kind < clinics.wild_percent:
            return Arrival(when, origin, WILD, patient)
        if kind < clinics.wild_percent + clinics.dates_percent:
            day = clinics.day(when) - self._below(number, _QUESTION, 4, 2)
            return Arrival(when, origin, DATES, day)
        return Arrival(when, origin, EXACT, patient)

    def _clinic(self, patient: int, number: int, purpose: int) -> int:
        """One of the patient's: mostly the one at home."""
        others = self._clinics.circle - 1
        away = self._below(number, purpose, 8, 100) < self._clinics.elsewhere_percent
        turn = 1 + self._below(number, purpose, 9, others) if others and away else 0
        return self._below(patient, _CIRCLE, turn, self._size)

    def _below(self, number: int, purpose: int, counter: int, bound: int) -> int:
        return draw(self._seed, number, purpose, counter) * bound >> 64


_STUDIES, _QUESTIONS, _CROWDS = range(3)
"""Streams of arrivals; at one moment in this order."""

_GAP = word(b"workload gap")
_STUDY = word(b"workload study")
_QUESTION = word(b"workload question")
_BEFORE = word(b"workload before")
_CIRCLE = word(b"workload circle")
_CROWD = word(b"workload crowd")
