"""The command as a whole: quick help, exit codes, and two sentences instead of tracebacks."""

import json
import os
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest

from meshpacs.cli import main as program
from meshpacs.cli.main import BROKEN, COMMANDS, INTERRUPTED, run
from meshpacs.cli.screen import clock, duration, milliseconds, plural, safe, size
from meshpacs.cli.systemd import notify
from meshpacs.model.errors import LocalFault

HEAVY = ("trio", "rich", "structlog", "pydicom", "nacl", "starlette", "anycorn", "msgspec",
         "http.client", "sqlite3", "asyncio", "json")  # fmt: skip


def imported_by(*words: str) -> set[str]:
    script = (
        "import sys; from meshpacs.cli.main import run; code = run(sys.argv[1:]); "
        "print(*sys.modules, file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *words],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COVERAGE_PROCESS_START": "", "COVERAGE_PROCESS_CONFIG": ""},
    )
    return set(done.stderr.split())


def test_help_imports_click_and_nothing_of_weight() -> None:
    modules = imported_by("--help")
    assert "click" in modules
    assert modules.isdisjoint(HEAVY)
    assert not any(name.startswith("meshpacs.cli.") and name != "meshpacs.cli.main"
                   for name in modules)  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_every_commands_help_leaves_the_mesh_alone(command: str) -> None:
    modules = imported_by(command, "--help")
    assert modules.isdisjoint(set(HEAVY) - {"json"})


@pytest.mark.parametrize("command", ["check", "echo", "find", "store", "get", "move", "ae"])
def test_the_help_of_what_speaks_dicom_leaves_it_alone(command: str) -> None:
    modules = imported_by("dicom", command, "--help")
    assert modules.isdisjoint(set(HEAVY) - {"json"})


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"  {name} " in out for name in COMMANDS)


@pytest.mark.parametrize("word", ["abc", "A" * 64, "zz" * 32])
def test_a_neighbour_that_is_no_whole_node_id_is_refused_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], word: str
) -> None:
    assert run(["--home", str(tmp_path), "up", "--only-neighbour", word]) == BROKEN
    assert f"{word!r} is no node id" in capsys.readouterr().err


def test_an_unknown_command_or_option_exits_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["fnid"]) == BROKEN
    assert run(["find", "--colour"]) == BROKEN
    assert "fnid" in capsys.readouterr().err


def test_a_fault_is_two_sentences_and_with_json_a_document(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["--home", str(tmp_path), "status", "--json"]) == BROKEN
    out, err = capsys.readouterr()
    assert "There is no node in" in err
    assert "Traceback" not in err
    assert "meshpacs init" in json.loads(out)["error"]["mend"]


def test_a_wrong_option_is_a_document_too_for_a_program_that_reads_json(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["find", "--json", "--colour"]) == BROKEN
    out, err = capsys.readouterr()
    assert "--colour" in err
    assert "--colour" in json.loads(out)["error"]["what"]
    assert "meshpacs find --help" in json.loads(out)["error"]["mend"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_an_interrupted_command_exits_130(
    monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def interrupted(**_: object) -> None:
        raise error

    monkeypatch.setattr(program.meshpacs, "main", interrupted)
    assert run(["status"]) == INTERRUPTED


def test_a_fault_without_a_mend_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(**_: object) -> None:
        raise LocalFault("That is wrong.")

    monkeypatch.setattr(program.meshpacs, "main", broken)
    assert run(["status"]) == BROKEN
    assert capsys.readouterr().err == "meshpacs: That is wrong.\n"


def test_a_fault_out_of_nurseries_is_told_like_any_other_and_a_mistake_is_not_hidden(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(**_: object) -> None:
        raise BaseExceptionGroup("", [ExceptionGroup("", [errors.pop()])])

    monkeypatch.setattr(program.meshpacs, "main", broken)
    errors: list[Exception] = [ZeroDivisionError("x"), LocalFault("That is wrong.")]
    assert run(["up"]) == BROKEN
    assert capsys.readouterr().err == "meshpacs: That is wrong.\n"
    with pytest.raises(BaseExceptionGroup):
        run(["up"])


def test_the_home_is_chosen_by_option_then_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MESHPACS_HOME", str(tmp_path / "env"))
    run(["status"])
    assert str(tmp_path / "env") in capsys.readouterr().err
    run(["--home", str(tmp_path / "first"), "status"])
    assert str(tmp_path / "first") in capsys.readouterr().err
    run(["--home", str(tmp_path / "first"), "status", "--home", str(tmp_path / "second")])
    assert str(tmp_path / "second") in capsys.readouterr().err


def test_the_entry_point_exits_with_the_commands_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for words, code in ((["--version"], 0), (["--home", str(tmp_path), "status"], 2)):
        monkeypatch.setattr(sys, "argv", ["meshpacs", *words])
        with pytest.raises(SystemExit) as ended:
            program.main()
        assert ended.value.code == code


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a pipe that breaks")
def test_a_pipe_that_breaks_is_no_fault() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "meshpacs.cli", "--help"],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


# ---------------------------------------------------------------- what people see


def test_amounts_are_short_and_true() -> None:
    assert [size(n) for n in (0, 999, 1500, 123_456_789, 10**15)] == [
        "0 B", "999 B", "1.5 kB", "123 MB", "1000.0 TB",
    ]  # fmt: skip
    assert [milliseconds(n) for n in (None, 900, 123_456)] == ["–", "0.9 ms", "123 ms"]
    seconds = (59, 61, 3_700, 90_000)
    assert [duration(s * 1_000_000) for s in seconds] == [
        "59 s", "1 min 1 s", "1 h 1 min", "1 d 1 h",
    ]  # fmt: skip
    assert [plural(n, "study", "studies") for n in (1, 2)] == ["1 study", "2 studies"]
    assert plural(0, "hop") == "0 hops"


def test_a_time_is_told_by_the_clock_today_and_with_its_date_before() -> None:
    noon = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)
    noon_us = int(noon.timestamp() * 1e6)
    local = noon.astimezone()
    assert clock(0) == "never"
    assert clock(noon_us, now=noon) == local.strftime("%H:%M")
    assert clock(noon_us, now=datetime(2024, 5, 9, tzinfo=UTC)) == local.strftime("%Y-%m-%d %H:%M")


def test_unprintable_text_is_marked() -> None:
    assert safe("a\x1b[31m\u202eb\nc") == "a\ufffd[31m\ufffdb\nc"


# ---------------------------------------------------------------- systemd


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="needs sockets in the file system")
@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, abstract: bool) -> None:
    if abstract and sys.platform != "linux":
        pytest.skip("abstract sockets are Linux's")
    name = f"@meshpacs-test-{os.getpid()}" if abstract else str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(name.replace("@", "\0"))
        listener.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        notify("READY=1")
        assert listener.recv(100) == b"READY=1"


def test_nobody_is_told_where_nobody_listens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    notify("READY=1")
