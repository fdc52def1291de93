"""The client tells what went wrong on the way to the node, and never takes half for the whole."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from meshpacs.cli import client as client_room
from meshpacs.cli.client import Client
from meshpacs.model.errors import LocalFault, Unavailable
from meshpacs.node.home import Home
from tests.cli.served import make_home


@contextmanager
def answering(home: Home, answer: Callable[[socket.socket], None]) -> Iterator[Client]:
    """Something listens where the node should, and does this with its one caller."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        home.running_file.write_text(json.dumps({"pid": 1, "http": address}))

        def serve() -> None:
            caller, _ = listener.accept()
            with caller:
                answer(caller)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield Client(home)
        thread.join(10)
        assert not thread.is_alive()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return make_home(tmp_path)


def say(*parts: bytes) -> Callable[[socket.socket], None]:
    def answer(caller: socket.socket) -> None:
        caller.recv(65_536)
        for part in parts:
            caller.sendall(part)

    return answer


def test_another_program_at_that_address_is_told_apart(home: Home) -> None:
    page = b"HTTP/1.1 404 Not Found\r\nContent-Length: 6\r\n\r\n<html>"
    with answering(home, say(page)) as client, pytest.raises(LocalFault, match="status 404"):
        client.get("/v1/status")


def test_what_is_no_http_at_all_is_told_as_an_end(home: Home) -> None:
    with answering(home, say(b"SSH-2.0\r\n")) as client, pytest.raises(Unavailable):
        client.get("/v1/status")


def test_a_document_that_is_cut_off_is_none(home: Home) -> None:
    start = b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"level"'
    with answering(home, say(start)) as client, pytest.raises(Unavailable, match="before"):
        client.get("/v1/status")


def test_lines_that_stop_without_an_end_are_no_answer(home: Home) -> None:
    line = b'{"event": "progress"}\n'
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(line), line)
    with answering(home, say(whole)) as client:
        events = client.lines("/v1/find", {})
        assert next(events) == {"event": "progress"}
        with pytest.raises(Unavailable, match="before the answer was whole"):
            next(events)


def test_lines_that_are_cut_off_are_no_answer(home: Home) -> None:
    broken = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
    with answering(home, say(broken)) as client, pytest.raises(Unavailable):
        next(client.lines("/v1/find", {}))


def test_a_node_that_says_nothing_is_not_waited_for_for_ever(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_room, "ANSWER_S", 0.05)
    over = threading.Event()

    def silent(caller: socket.socket) -> None:
        caller.recv(65_536)
        over.wait(10)

    with answering(home, silent) as client:
        with pytest.raises(Unavailable, match="does not answer"):
            client.get("/v1/status")
        over.set()


def test_an_address_that_cannot_be_reached_is_told(home: Home) -> None:
    home.running_file.write_text(json.dumps({"pid": 1, "http": "host.invalid:1"}))
    with pytest.raises(Unavailable):
        Client(home).get("/v1/status")
