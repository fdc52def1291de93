"""A study from node to node, beside a bare socket and beside DCMTK."""

import multiprocessing
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from time import monotonic, sleep

from benches.clinics import Clinic, mesh
from benches.figure import Figure, at_least
from benches.ground import Ground, Stopwatch, Unmeasurable, settle
from benches.scanner import Study, write_slices

COUNT = 952
"""Slices of 0.525 MB: 500 MB."""

BLOCK_BYTES = 256 * 1024
"""Of the bare socket; what meshpacs's links read and write, too."""

PDU_BYTES = 131072
"""The largest that DCMTK takes, and the fastest."""


def bench(ground: Ground) -> list[Figure]:
    """Rounds of: the bare socket, DCMTK, the mesh; each round fetches another study."""
    count = ground.size(COUNT, 40)
    node: list[float] = []
    tcp: list[float] = []
    dcmtk: list[float] = []
    preserving: list[float] = []
    size = 0
    with ground.room("fetch") as room:
        media = room / "media"
        with mesh(room, 2) as (holder, taker):
            for number in range(ground.rounds + 1):
                ground.say(f"round {number}" if number else "warming up")
                study = Study(number + 1)
                size = write_slices(study, count, media, seed=ground.seed)
                holder.take_in(media)
                seconds = _fetch(taker, study, count)
                if number:
                    node.append(seconds)
                    tcp.append(_socket(size))
                    if shutil.which("storescu") and shutil.which("storescp"):
                        dcmtk.append(_dcmtk(media, room / "scp", count))
                        preserving.append(_dcmtk(media, room / "scp", count, "+B"))
                shutil.rmtree(media)
    mb = size / 1e6
    rates = partial(_rates, mb)
    figures = [
        Figure("node to node", "MB/s", rates(node),
               f"{mb:.0f} MB in {count} instances; POST /v1/fetch until verified, durable, visible;"
               " two processes", at_least(300)),
        Figure("bare socket", "MB/s", rates(tcp),
               "the same bytes from memory over loopback TCP to another process, thrown away"),
    ]  # fmt: skip
    if dcmtk:
        how = f"storescu to storescp, PDUs of {PDU_BYTES} bytes, files not made durable"
        best = [min(pair) for pair in zip(dcmtk, preserving, strict=True)]
        ratios = tuple(theirs / ours for theirs, ours in zip(best, node, strict=True))
        figures += [
            Figure("DCMTK", "MB/s", rates(dcmtk), how),
            Figure("DCMTK, bit preserving", "MB/s", rates(preserving), f"{how}; storescp +B"),
            Figure("node : DCMTK", "x", ratios, "its faster way, round by round", at_least(1)),
        ]
    else:
        ground.say("DCMTK is not installed (Debian: apt-get install dcmtk); left out")
    return figures


def _rates(mb: float, seconds: list[float]) -> tuple[float, ...]:
    return tuple(mb / s for s in seconds)


def _fetch(taker: Clinic, study: Study, count: int) -> float:
    settle()
    with Stopwatch() as watch:
        done = taker.ask("/v1/fetch", {"study_uid": study.uid})
    if done["instances"] != count or done["partial"] or done["already_here"]:
        raise Unmeasurable(f"The fetch brought {done['instances']} of {count} instances.")
    return watch.s


# ---------------------------------------------------------------- the bare socket


def _receive(size: int, port: Connection) -> None:
    """Another process: take so many bytes from one connection, and say when they are here."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port.send(server.getsockname()[1])
        connection, _ = server.accept()
        with connection:
            room = memoryview(bytearray(BLOCK_BYTES))
            while size > 0 and (came := connection.recv_into(room)):
                size -= came
            connection.sendall(b"!")


def _socket(size: int) -> float:
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_receive, args=(size, theirs))
    process.start()
    block = bytes(BLOCK_BYTES)
    whole, rest = divmod(size, BLOCK_BYTES)
    with socket.create_connection(("127.0.0.1", ours.recv())) as connection, Stopwatch() as watch:
        for _ in range(whole):
            connection.sendall(block)
        connection.sendall(block[:rest])
        connection.recv(1)
    process.join()
    return watch.s


# ---------------------------------------------------------------- DCMTK


def _dcmtk(media: Path, received: Path, count: int, *options: str) -> float:
    """Seconds from the start of storescu until its last acknowledgement."""
    received.mkdir()
    pdu = ("-pdu", str(PDU_BYTES))
    with _storescp(received, *pdu, *options) as port:
        settle()
        with Stopwatch() as watch:
            done = subprocess.run(
                ["storescu", "-R", *pdu, "+sd", "127.0.0.1", str(port), str(media)],
                capture_output=True, encoding="utf-8", check=False,
            )  # fmt: skip
    came = sum(1 for _ in received.iterdir())
    shutil.rmtree(received)
    if done.returncode or came != count:
        raise Unmeasurable(f"storescu brought {came} of {count}: {done.stderr[-300:]}")
    return watch.s


@contextmanager
def _storescp(folder: Path, *options: str) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        ["storescp", *options, "-od", str(folder), str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        until = monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                if monotonic() > until:
                    raise Unmeasurable("storescp does not listen.") from None
                sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait()
