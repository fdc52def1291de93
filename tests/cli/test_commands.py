"""What each command asks of the node, shows to a person, says to a program, and exits with."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import _NamedTextIOWrapper

from meshpacs.cli import client, conflicts, peers, status
from meshpacs.gateways.shapes import plain
from meshpacs.model.answer import MemberAnswer, Report, Status
from meshpacs.model.errors import LocalFault, Unavailable
from meshpacs.model.ids import QueryId
from meshpacs.model.merge import Match
from meshpacs.node.views import Found
from tests.cli.served import Served, make_home, run, served
from tests.gateways.fake_mesh import (
    DONE,
    FOUND,
    NAMES,
    NORD,
    PEER,
    RECORD,
    STATUS,
    STUDY,
    SUED,
    FakeMesh,
)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path / "home", FakeMesh()) as made:
        yield made


def complete(level_record: dict[int, object] | None = None) -> Found:
    answers = (
        MemberAnswer(NORD, Status.ANSWERED, rows=1),
        MemberAnswer(SUED, Status.ANSWERED, rows=1, hops=2, took_us=5000),
    )
    report = Report(QueryId(b"q" * 16), answers, took_us=5000)
    matches = () if level_record is None else (Match(level_record, (NORD,)),)  # type: ignore[arg-type]
    return Found(matches, report, truncated=False, unresolved=0, names=NAMES)


# ---------------------------------------------------------------- find


def test_find_shows_rows_and_always_who_answered_and_who_did_not(node: Served) -> None:
    result = node.run("find", "PatientName=Yama*")
    assert result.return_value == 1
    for words in (
        "Yamada, Tarou",
        "12345678",
        "2024-01-31",
        "CT, SR",
        STUDY,
        "Nord",
        "30 instances",
    ):
        assert words in result.stdout
    assert "1 of 2 clinics answered in 12 ms" in result.stdout
    assert "Süd has not been heard since 2023-11-14" in result.stdout
    assert "This answer is not complete." in result.stdout


def test_no_such_study_is_never_said_without_who_says_so(node: Served) -> None:
    node.mesh.found = complete()
    result = node.run("find", "PatientID=1")
    assert result.return_value == 0
    assert "2 of 2 clinics answered in 5.0 ms, over at most 2 hops." in result.stdout
    assert "No such study: every clinic that was asked says so." in result.stdout

    node.mesh.found = replace(FOUND, matches=())
    result = node.run("find", "PatientID=1")
    assert result.return_value == 1
    assert "No such study was found, but this answer is not complete." in result.stdout


def test_a_search_of_this_archive_alone_says_that_nobody_else_was_asked(node: Served) -> None:
    node.mesh.found = Found((), None, truncated=False, unresolved=0)
    result = node.run("find", "--scope", "local")
    assert result.return_value == 0
    assert "Only this node's own archive was searched." in result.stdout
    assert "the other clinics were not asked" in result.stdout
    node.mesh.found = Found((Match(RECORD, (NORD,)),), None, truncated=False, unresolved=0)
    assert "not asked" not in node.run("find", "--scope", "local").stdout


def test_find_says_in_json_what_it_says_in_words(node: Served) -> None:
    result = node.run("find", "--json")
    document = json.loads(result.stdout)
    assert list(document) == ["level", "complete", "truncated", "unresolved", "matches", "report"]
    assert document["report"]["members"][1]["status"] == "unreachable"
    assert result.return_value == 1


def test_finds_options_reach_the_node(node: Served) -> None:
    node.run("find", "--level", "image", "--ball", "2", "--limit", "9", "--wait", "1.5")
    _, query, scope, local, budget_us = node.mesh.asked[0]  # type: ignore[misc]
    assert (query.level.value, query.limit, scope.ttl, local, budget_us) == (  # type: ignore[has-type]
        "IMAGE", 9, 2, False, 1_500_000,
    )  # fmt: skip


@pytest.mark.parametrize("level", ["patient", "study", "series", "image"])
def test_every_level_has_its_table(node: Served, level: str) -> None:
    unique = {"patient": "12345678", "study": STUDY, "series": "1.2.3", "image": "1.2.3.4"}
    record = {**RECORD, 0x0020_000E: ("1.2.3",), 0x0008_0018: ("1.2.3.4",)}
    differing = Match(record, (NORD,), differing=True, unresolved=True)
    node.mesh.found = replace(complete(), matches=(differing,), unresolved=1)
    result = node.run("find", "--level", level)
    assert unique[level] in result.stdout
    assert "(differing)" in result.stdout
    assert "counts with ≥ are the least" in result.stdout
    if level == "study":
        assert "≥30 instances" in result.stdout


def test_nothing_that_a_file_says_can_touch_the_terminal(node: Served) -> None:
    node.mesh.found = complete({0x0010_0010: ("\x1b[2J[red]Evil[/red]",), 0x0020_000D: ("1",)})
    result = node.run("find")
    assert "\x1b" not in result.stdout
    assert "[red]Evil[/red]" in result.stdout


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (Status.TRUNCATED, "Süd has more rows than it returned"),
        (Status.REFUSED, "Süd refused to answer."),
        (Status.BUSY, "Süd was too busy"),
        (Status.UNSUPPORTED, "does not know this kind of query"),
        (Status.FAILED, "could not search its own archive"),
        (Status.SKEWED, "Süd's clock is 10 min behind ours"),
        (Status.UNREACHABLE, "Süd has never been heard"),
        (Status.OUTSIDE, "1 clinic beyond the ball: not asked."),
    ],
)
def test_every_status_has_its_sentence(node: Served, status: Status, words: str) -> None:
    answers = (
        MemberAnswer(NORD, Status.ANSWERED),
        MemberAnswer(SUED, status, skew_us=-600_000_000),
    )
    report = Report(QueryId(b"q" * 16), answers, took_us=1, cancelled=True, doubtful=True)
    node.mesh.found = replace(FOUND, report=report)
    stdout = node.run("find").stdout
    assert words in stdout
    assert "cancelled" in stdout
    assert "some of those may not be beyond it" in " ".join(stdout.split())


# ---------------------------------------------------------------- fetch


def test_fetch_says_what_came_from_whom(node: Served, tmp_path: Path) -> None:
    node.mesh.done = replace(DONE, exported_to=tmp_path, exported=3)
    result = node.run("fetch", STUDY, "--to", str(tmp_path))
    assert result.return_value == 0
    assert "3 instances here and verified: 1.0 MB in 25 ms from Süd (3)." in result.stdout
    assert f"3 files in {tmp_path}." in result.stdout
    assert node.mesh.asked == [("fetch", STUDY, tmp_path)]


def test_a_fetch_that_brings_a_part_says_so_and_exits_1(node: Served) -> None:
    node.mesh.done = replace(
        DONE, partial=True, missing=("1.2",), missing_total=1, conflicts=2, took_us=61_000_000
    )
    result = node.run("fetch", STUDY)
    assert result.return_value == 1
    assert "1 instance could not be had" in result.stdout
    assert "2 instances came with other content" in result.stdout
    assert "1 min 1 s" in result.stdout


def test_a_fetch_names_who_may_know_more(node: Served) -> None:
    node.mesh.done = replace(DONE, unheard=(SUED,))
    result = node.run("fetch", STUDY)
    assert result.return_value == 1
    assert "Not heard: Süd." in result.stdout


def test_a_second_fetch_is_local(node: Served) -> None:
    node.mesh.done = replace(DONE, already_here=True)
    assert "are here already" in node.run("fetch", STUDY).stdout
    document = json.loads(node.run("fetch", STUDY, "--json").stdout)
    assert document["already_here"] is True
    assert "event" not in document


# ---------------------------------------------------------------- status, peers, conflicts


def test_status_says_the_level_why_and_what_mends_it(node: Served) -> None:
    result = node.run("status")
    assert result.return_value == 1
    for words in (
        "Nord is degraded", "Süd cannot be reached.", "Look whether it is up.", "founder's key",
        "this machine only", "1 patient, 2 studies, 3 series, 40 instances, 5.0 MB",
        "fine, 100 GB free, of which 268 MB are kept for the node itself; most writes are durable",
        "2 torn files were removed.", "A fork.", "kept out: It is wrong. Mend it.",
        "waits for a restart: mesh.listen", "1 h 1 min", "invite was used twice",
    ):  # fmt: skip
        assert words in result.stdout, words
    assert json.loads(node.run("status", "--json").stdout)["level"] == "degraded"


def test_peers_says_what_to_do_about_the_last_error(node: Served) -> None:
    result = node.run("peers")
    assert result.return_value == 1
    for words in (
        "unreachable", "192.0.2.7:7117", "1.5 kB", "-1.2 s", "connection refused", "Is it up?",
        "2 messages dropped",
    ):  # fmt: skip
        assert words in result.stdout, words
    assert json.loads(node.run("peers", "--json").stdout)["peers"][0]["name"] == "Süd"


def test_trails_says_by_whom_a_query_came_and_to_whom_it_went(node: Served) -> None:
    lines = node.run("trails").stdout.splitlines()
    own, first, second = (line.split() for line in lines if "Süd" in line)
    assert (own[0], own[1], own[-3:]) == ("71717171", "Nord", ["here", "0", "Süd"])
    assert (first[0], first[1], first[-3:]) == ("72727272", "Süd", ["Süd", "2", "nobody"])
    assert second == ["Süd", "1", "Süd", "Nord"]
    picked = json.loads(node.run("trails", "72", "--json").stdout)["trails"]
    assert [trail["query_id"] for trail in picked] == ["72" * 16]
    assert "No such query" in node.run("trails", "x&y").stdout
    assert node.mesh.asked[-1] == ("trails", "x&y")


def test_conflicts_lists_both_contents(node: Served) -> None:
    result = node.run("conflicts")
    assert result.return_value == 1
    assert f"{STUDY}.1.1" in result.stdout
    assert json.loads(node.run("conflicts", "--json").stdout)["conflicts"]


# ---------------------------------------------------------------- membership


def test_invite_prints_the_invite_alone_on_standard_output(node: Served) -> None:
    result = node.run("invite", "--role", "relay", "--expires", "2d", "--local")
    assert result.stdout == "meshpacs:abc\n"
    assert "For one relay of Küste" in result.stderr
    assert node.mesh.asked[0][2:] == (172_800, True)  # type: ignore[index]
    assert json.loads(node.run("invite", "--json").stdout)["text"] == "meshpacs:abc"


@pytest.mark.parametrize("span", ["0h", "72", "1w", "h", "-1d"])
def test_a_span_of_time_that_is_none_is_refused(node: Served, span: str) -> None:
    assert "no span of time" in str(node.run("invite", "--expires", span).exception)
    assert node.mesh.asked == []


def test_revoke_asks_first(node: Served) -> None:
    assert node.run("revoke", "Süd", answer="n\n").exception is not None
    assert node.mesh.asked == []
    assert "Süd (0b0b0b0b) is no member any more." in node.run("revoke", "Süd", "--yes").stdout
    assert json.loads(node.run("revoke", "Süd", "--yes", "--json").stdout)["name"] == "Süd"


# ---------------------------------------------------------------- config, down, and no node


def test_config_check_reads_without_a_node(tmp_path: Path) -> None:
    home = make_home(tmp_path)
    result = run("config", "check", "--home", str(tmp_path))
    assert "http.listen" in result.stdout
    assert "config.toml is fine." in result.stdout
    document = json.loads(run("--home", str(tmp_path), "config", "check", "--json").stdout)
    assert document["values"]["name"] == "Nord"
    home.config.write_text("nam = 1")
    fault = run("--home", str(tmp_path), "config", "check").exception
    assert isinstance(fault, LocalFault)
    assert "Did you mean name?" in fault.mend


def test_down_stops_the_node_and_waits_for_its_end(node: Served) -> None:
    node.home.running_file.write_text(
        json.dumps({**(node.home.running() or {}), "pid": 1}), encoding="utf-8"
    )

    def stop() -> None:
        node.home.running_file.unlink()

    node.mesh.stop = stop  # type: ignore[method-assign]
    result = node.run("down", "--json")
    assert json.loads(result.stdout) == {"stopped": True, "pid": 1}
    assert "No node is up" in node.run("down").stdout


def test_down_says_when_a_node_does_not_end(node: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshpacs.cli.down.STOP_S", -1.0)
    fault = node.run("down").exception
    assert isinstance(fault, Unavailable)
    assert "was told to stop" in fault.what


def test_commands_say_when_there_is_no_node_or_none_is_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = run("--home", str(tmp_path), "status").exception
    assert isinstance(fault, LocalFault)
    assert "meshpacs init" in fault.mend
    home = make_home(tmp_path)
    fault = run("--home", str(tmp_path), "status").exception
    assert isinstance(fault, LocalFault)
    assert "meshpacs up" in fault.mend
    monkeypatch.setattr(client, "START_S", 0.0)
    home.running_file.write_text('{"pid": 77}')
    fault = run("--home", str(tmp_path), "status").exception
    assert isinstance(fault, LocalFault)
    assert "Process 77 holds the home" in fault.what


def test_a_command_waits_for_a_node_that_is_just_starting(
    node: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = node.home.running_file.read_text()
    node.home.running_file.write_text('{"pid": 77}')
    monkeypatch.setattr("time.sleep", lambda _: node.home.running_file.write_text(said))
    assert node.run("status").return_value == 1


def test_what_a_killed_node_left_behind_is_seen_through(tmp_path: Path) -> None:
    with served(tmp_path, FakeMesh()) as gone:
        pass
    fault = gone.run("status").exception
    assert isinstance(fault, LocalFault)
    assert "No node is up" in fault.what
    assert "No node is up" in gone.run("down").stdout


def test_a_fault_of_the_node_is_told_as_the_node_told_it(node: Served) -> None:
    node.mesh.fault = LocalFault("That is wrong.", "Do this.")
    for words in (["status"], ["find"], ["invite"]):
        fault = node.run(*words).exception
        assert isinstance(fault, LocalFault)
        assert (fault.what, fault.mend) == ("That is wrong.", "Do this.")
    node.mesh.fault = Unavailable("Later.", "Wait 3 s.")
    assert isinstance(node.run("find").exception, Unavailable)
    node.mesh.fault = None
    node.mesh.late_fault = Unavailable("Stopping.", "")
    assert isinstance(node.run("find").exception, Unavailable)


def test_an_answer_that_is_cut_short_is_no_answer(node: Served) -> None:
    node.mesh.late_fault = ZeroDivisionError("x")
    fault = node.run("find").exception
    assert isinstance(fault, Unavailable)
    assert "before the answer was whole" in fault.what


# ---------------------------------------------------------------- at a terminal


@pytest.mark.parametrize("words", [["fetch", STUDY], ["import", "."]])
def test_progress_is_shown_where_somebody_looks_and_never_in_the_answer(
    node: Served, words: list[str]
) -> None:
    quiet = node.run(*words)

    class Watching(_NamedTextIOWrapper):
        def isatty(self) -> bool:
            return self.name == "<stderr>"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("click.testing._NamedTextIOWrapper", Watching)
        watched = node.run(*words)
    assert watched.stdout == quiet.stdout
    assert watched.return_value == quiet.return_value
    assert len(watched.stderr) > len(quiet.stderr)


def test_a_mesh_of_one_says_how_to_let_others_in(capsys: pytest.CaptureFixture[str]) -> None:
    peers.show([])
    assert "meshpacs invite" in capsys.readouterr().out
    conflicts.show([])
    assert "No conflicts" in capsys.readouterr().out


def test_a_member_in_order_has_no_lines_of_trouble(capsys: pytest.CaptureFixture[str]) -> None:
    fine = replace(
        PEER, last_error="", messages_dropped=0, clock_offset_us=None, round_trip_us=1500
    )
    peers.show([plain(fine), plain(replace(PEER, mend=""))])
    out = capsys.readouterr().out
    assert "1.5 ms" in out
    assert out.count("connection refused") == 1


def test_a_fine_status_is_short(capsys: pytest.CaptureFixture[str]) -> None:
    view = plain(STATUS)
    view["troubles"] = [{"level": "degraded", "what": "It rains.", "mend": ""}]
    view["archive"] |= {"conflicts": 0, "repaired": []}
    view["roster"] |= {"forks": [], "suspended": []}
    view["config"] |= {"refused": "", "waits_for_restart": []}
    view["founder"] = False
    status.show(view)
    out = capsys.readouterr().out
    assert "It rains." in out
    assert not any(word in out for word in ("conflicts", "repaired", "fork", "kept out", "waits"))


def test_delete_says_who_else_has_it_and_asks_first(node: Served) -> None:
    asked = node.run("delete", "1.2.3", answer="n\n")
    assert asked.exception is not None
    assert node.mesh.asked[-1] == ("delete", "1.2.3", False, False)
    done = node.run("delete", "1.2.3", "--even-if-last", answer="y\n")
    assert done.return_value == 0
    assert node.mesh.asked[-1] == ("delete", "1.2.3", True, True)
    for words in (
        "3 instances here, 1.0 MB, and 1 kept aside in conflict.", "Süd has 2 of them.",
        "No other clinic that answered has 1 of them.", "Not heard: Nord.",
    ):  # fmt: skip
        assert words in done.stderr, words
    assert "3 instances deleted" in done.stdout
    plain = json.loads(node.run("delete", "1.2.3", "--yes", "--json").stdout)
    assert (plain["deleted"], plain["copies"][0]["instances"]) == (True, 2)
    assert len([what for what in node.mesh.asked if what[0] == "delete"]) == 4  # type: ignore[index]
