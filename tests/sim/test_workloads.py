"""What clinics do all day: the same from one seed, at hours when people work."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import mean, median

import pytest

from meshpacs.model.errors import LocalFault
from meshpacs.model.ids import SECOND
from meshpacs_sim.graphs import topologies
from meshpacs_sim.trials.safety import safety
from meshpacs_sim.world import diary, faults, quantiles
from meshpacs_sim.world.cellar import PATIENT_ID, Growing, by_name, every_study
from meshpacs_sim.world.modalities import CODES, MODALITIES
from meshpacs_sim.world.trace import Trace
from meshpacs_sim.world.working import Working, query_of, record_of
from meshpacs_sim.world.workloads import (
    DATES,
    DAY_US,
    EXACT,
    HOUR_US,
    NEW,
    WILD,
    Arrival,
    Clinics,
    Flash,
)
from meshpacs_sim.world.world import World

SMALL = Clinics(patients=300, studies_before=800, studies_a_day=40, questions_a_day=120)
SIZE = 20
WEEK_US = 7 * DAY_US


@pytest.fixture(scope="module")
def week() -> list[Arrival]:
    return list(SMALL.arrivals(5, SIZE, WEEK_US))


def of(kind: int, arrivals: list[Arrival]) -> list[Arrival]:
    return [arrival for arrival in arrivals if arrival.kind == kind]


def holders(arrivals: Iterable[Arrival]) -> dict[int, set[int]]:
    found: dict[int, set[int]] = {}
    for arrival in arrivals:
        if arrival.kind == NEW:
            found.setdefault(arrival.content, set()).add(arrival.origin)
    return found


# ---------------------------------------------------------------- what arrives


def test_one_seed_has_one_workload_everywhere(week: list[Arrival]) -> None:
    assert week == list(SMALL.arrivals(5, SIZE, WEEK_US))
    assert week != list(SMALL.arrivals(6, SIZE, WEEK_US))
    assert all(type(each) is int for arrival in week for each in arrival)
    assert hashlib.sha256(repr(week).encode()).hexdigest()[:16] == "bd4bec6290c290ec"


def test_arrivals_come_in_order_and_what_was_there_before_comes_first(week: list[Arrival]) -> None:
    assert all(one.when <= other.when for one, other in pairwise(week))
    before = [arrival for arrival in week if arrival.when < 0]
    assert len(before) == SMALL.studies_before
    assert {arrival.kind for arrival in before} == {NEW}
    assert before[0].when < -1_800 * DAY_US
    assert [arrival.study for arrival in of(NEW, week)] == list(range(len(of(NEW, week))))


def test_more_questions_change_no_study(week: list[Arrival]) -> None:
    more = list(replace(SMALL, questions_a_day=200).arrivals(5, SIZE, DAY_US))
    assert of(NEW, more) == [each for each in of(NEW, week) if each.when < DAY_US]


def test_a_monday_has_as_many_questions_as_it_should_and_a_sunday_few(week: list[Arrival]) -> None:
    asked = Counter(SMALL.day(each.when) for each in week if each.kind != NEW)
    expected = SIZE * SMALL.questions_a_day
    assert asked[1] == pytest.approx(expected, rel=0.08)
    assert asked[6] == pytest.approx(expected / 10, rel=0.2)


def test_people_work_by_day(week: list[Arrival]) -> None:
    hours = Counter(SMALL.hour(each.when) for each in week if each.kind != NEW)
    assert hours[10] / hours[17] == pytest.approx(100 / 40, rel=0.25)
    assert sum(hours[hour] for hour in range(6)) < sum(hours.values()) / 50


def test_the_popular_are_asked_for_most_and_the_latest_more_than_their_share(
    week: list[Arrival],
) -> None:
    asked = Counter(each.content for each in of(EXACT, week))
    ranked = [count for _, count in asked.most_common()]
    assert asked.most_common(1)[0][0] == 0
    assert ranked[0] > 10 * median(ranked)
    unlike = replace(SMALL, zipf_percent=0, recent_percent=100, recent_studies=5)
    late: list[int] = []
    found = 0
    for each in unlike.arrivals(2, SIZE, DAY_US):
        if each.kind == NEW:
            late.append(each.content)
        elif each.kind == EXACT:
            found += each.content in late[-5:]
    assert found == sum(each.kind == EXACT for each in unlike.arrivals(2, SIZE, DAY_US))


def test_popularity_is_zipfs_to_the_last_unit() -> None:
    running = quantiles.popularity(1000, 75)
    weights = [running[0], *(b - a for a, b in pairwise(running))]
    one = 1 << 40
    for rank, weight in enumerate(weights, 1):
        assert weight**4 * rank**3 <= one**4 < (weight + 1) ** 4 * rank**3
    assert set(quantiles.popularity(5, 0)) == {one * rank for rank in range(1, 6)}
    assert quantiles.rank_of(running, 0) == 0
    assert quantiles.rank_of(running, (1 << 64) - 1) == 999


def test_questions_are_mixed_as_told(week: list[Arrival]) -> None:
    kinds = Counter(each.kind for each in week if each.kind != NEW)
    whole = sum(kinds.values())
    assert kinds[WILD] / whole == pytest.approx(0.10, abs=0.02)
    assert kinds[DATES] / whole == pytest.approx(0.10, abs=0.02)
    for each in of(DATES, week):
        assert each.content in {SMALL.day(each.when), SMALL.day(each.when) - 1}


def test_priors_of_one_patient_lie_at_several_clinics_of_a_circle(week: list[Arrival]) -> None:
    held = holders(week)
    assert max(map(len, held.values())) <= SMALL.circle
    many = [len(clinics) for patient, clinics in held.items() if patient < 50]
    assert mean(many) > 2
    at_home = {patient: clinics for patient, clinics in held.items() if len(clinics) == 1}
    assert at_home
    alone = replace(SMALL, circle=1).arrivals(5, SIZE, DAY_US)
    assert {len(clinics) for clinics in holders(alone).values()} == {1}


def test_studies_are_as_large_as_their_modality_makes_them(week: list[Arrival]) -> None:
    for arrival in of(NEW, week):
        assert arrival.size_bytes == arrival.instances * MODALITIES[arrival.modality].instance_bytes
        assert arrival.instances >= 1
    codes = Counter(MODALITIES[arrival.modality].code for arrival in of(NEW, week))
    assert codes["DX"] / len(of(NEW, week)) == pytest.approx(0.42, abs=0.03)
    tomographies = [each.instances for each in of(NEW, week) if each.modality == CODES["CT"]]
    assert median(tomographies) == pytest.approx(350, rel=0.15)
    assert sum(modality.per_mille for modality in MODALITIES) == 1000


def test_a_flash_crowd_asks_for_one_patient_in_a_short_time() -> None:
    flash = Flash(at_us=2 * HOUR_US, lasts_us=60 * SECOND, questions=400, patient=123)
    crowd = [
        each
        for each in replace(SMALL, flashes=(flash,)).arrivals(5, SIZE, 3 * HOUR_US)
        if 0 <= each.when - flash.at_us < flash.lasts_us and each.content == 123
    ]
    assert len(crowd) >= 400
    assert len({each.origin for each in crowd}) == SIZE
    assert not [each for each in replace(SMALL, flashes=(flash,)).arrivals(5, SIZE, HOUR_US)
                if each.when >= HOUR_US]  # fmt: skip


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("patients", 0), ("circle", 0), ("studies_a_day", -1), ("elsewhere_percent", 101),
        ("wild_percent", 95), ("hours", (1,) * 23), ("days", (0,) * 7), ("starts_hour", 24),
        ("flashes", (Flash(0, 1, 1, 300),)), ("modalities", ()),
    ],
)  # fmt: skip
def test_an_impossible_value_is_refused_by_its_field(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        replace(SMALL, **{field: value})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="lasts_us"):
        Flash(0, 0, 1)


# ---------------------------------------------------------------- files


def test_a_workload_comes_back_from_its_file_as_it_was(week: list[Arrival], tmp_path: Path) -> None:
    assert diary.write(week, tmp_path / "week.csv") == len(week)
    assert list(diary.read(tmp_path / "week.csv", SIZE)) == week


HEAD = ",".join(diary.COLUMNS) + "\n"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "line 1: is not when_us,"),
        ("when,clinic\n", "line 1: is not when_us,"),
        (HEAD + "1,2\n", "line 2: has 2 values, not 8"),
        (HEAD + "1,0,ask,3,,,,\n", "line 2: kind 'ask' is not one of new, exact"),
        (HEAD + "1,0,exact,3,,,,\n1,9,exact,3,,,,\n", "line 3: clinic '9' is not one of 0 to 3"),
        (HEAD + "2,0,exact,3,,,,\n1,0,exact,3,,,,\n", "line 3: when_us '1' falls"),
        (HEAD + "1,0,exact,x,,,,\n", "line 2: content 'x' is not a whole number"),
        (HEAD + "-1,0,exact,3,,,,\n", "line 2: when_us '-1' is less than 0"),
        (HEAD + "1,0,exact,3,7,,,\n", "line 2: study '7' belongs to new studies alone"),
        (HEAD + "1,0,new,3,7,XX,1,1\n", "line 2: modality 'XX' is not one of DX"),
        (HEAD + "1,0,new,3,7,CT,0,1\n", "line 2: instances '0' is less than 1"),
        (HEAD + "1,0,new,3,,CT,1,1\n", "line 2: study '' is not a whole number"),
        (HEAD + f"{'9' * 5000},0,exact,3,,,,\n", "line 2: when_us .* is not a whole number"),
        (HEAD + '1,0,exact,"3\n', "line 2: has 4 values"),
    ],
)
def test_a_file_that_is_none_is_refused_by_line_and_column(
    tmp_path: Path, text: str, what: str
) -> None:
    (tmp_path / "w.csv").write_text(text)
    with pytest.raises(LocalFault, match=what):
        list(diary.read(tmp_path / "w.csv", 4))


def test_files_that_cannot_be_read_or_written_are_named(tmp_path: Path) -> None:
    with pytest.raises(LocalFault, match=r"none.csv cannot be read"):
        list(diary.read(tmp_path / "none.csv", 4))
    (tmp_path / "latin.csv").write_bytes(HEAD.encode() + b"\xff\n")
    with pytest.raises(LocalFault, match=r"latin.csv cannot be read"):
        list(diary.read(tmp_path / "latin.csv", 4))
    with pytest.raises(LocalFault, match="cannot be written"):
        diary.write([], tmp_path / "no" / "where.csv")


# ---------------------------------------------------------------- in a world


def clinic_world(seed: int, size: int, observers: tuple[Trace, ...] = ()) -> World:
    return World(
        seed,
        topologies.ring(size),
        cellars=[Growing() for _ in range(size)],
        observers=[*safety(), *observers],
    )


def test_questions_find_just_what_has_come_before_them() -> None:
    size, clinics = 6, replace(SMALL, patients=40, studies_before=60, recent_percent=0)
    arrivals = list(clinics.arrivals(9, size, 40 * 60 * SECOND))
    world = clinic_world(9, size)
    work = Working(world, arrivals, clinics=clinics)
    assert work.stored == 60
    world.run(45 * 60 * SECOND)
    assert work.stored == len(of(NEW, arrivals))
    assert len(work.asked) == len(arrivals) - work.stored > 20
    assert not work.failed
    for arrival, asking in work.asked:
        assert asking.asked_at == arrival.when
        assert asking.report is not None
        expected = {
            (each.origin, each.study)
            for each in arrivals
            if each.kind == NEW and each.when <= arrival.when and _fits(each, arrival, clinics)
        }
        found = {
            (world.index[node], int(str(row.record[0x0020_000D][0]).split(".")[-1]) - (1 << 64))
            for node, rows in asking.rows.items()
            for row in rows
        }
        assert found == expected, arrival
    assert len({arrival.kind for arrival, _ in work.asked}) == 3


def _fits(study: Arrival, question: Arrival, clinics: Clinics) -> bool:
    if question.kind == EXACT:
        return study.content == question.content
    if question.kind == DATES:
        return clinics.day(study.when) == question.content
    family = str(query_of(question).keys[0][1][0]).removesuffix("*")
    return str(record_of(study, clinics)[0x0010_0010][0]).startswith(family)


def test_who_is_down_asks_nothing_and_a_lost_disk_stores_nothing() -> None:
    clinics = replace(SMALL, patients=40, studies_before=30)
    arrivals = list(clinics.arrivals(3, 4, 1800 * SECOND))
    world = clinic_world(3, 4)
    work = Working(world, arrivals, clinics=clinics)
    faults.crash(world, 2)
    faults.lose_disk(world, 2)
    world.run(1800 * SECOND)
    theirs = Counter(each.kind == NEW for each in arrivals if each.origin == 2 and each.when >= 0)
    assert work.failed == {"down": theirs[False]}
    assert work.unstored == theirs[True] > 0


def test_a_node_that_asks_too_often_is_refused_and_counted() -> None:
    arrivals = [Arrival(1, 0, EXACT, 3)] * 40
    world = clinic_world(3, 4)
    work = Working(world, arrivals)
    world.run(SECOND)
    assert work.failed["refused"] > 0
    assert work.failed["refused"] + len(work.asked) == 40


def test_a_workload_from_its_file_has_the_same_trace(tmp_path: Path) -> None:
    arrivals = list(SMALL.arrivals(7, 5, 600 * SECOND))
    diary.write(arrivals, tmp_path / "w.csv")
    digests = []
    for source in (arrivals, diary.read(tmp_path / "w.csv", 5)):
        trace = Trace()
        world = clinic_world(7, 5, (trace,))
        Working(world, source)
        world.run(700 * SECOND)
        digests.append(trace.digest)
    assert digests[0] == digests[1]


def test_a_growing_archive_finds_by_number_what_it_finds_by_looking() -> None:
    archive = Growing()
    for number in range(40):
        archive.add(record_of(Arrival(-5, 0, NEW, number % 7, number, 0, 1, 1), SMALL))
        query = query_of(Arrival(1, 0, EXACT, 3))
        assert len(archive.search(query)[0]) == (number + 4) // 7
    assert len(archive.search(every_study())[0]) == 40
    assert len(archive.search(by_name("*"))[0]) == 40
    either = replace(every_study(), keys=((PATIENT_ID, ("00000003", "00000004")),))
    assert len(archive.search(either)[0]) == 12
