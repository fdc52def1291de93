"""A study from node to node, beside a bare socket and beside DCMTK."""

import multiprocessing
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from time import monotonic, sleep
from types import MappingProxyType

from benches.figure import Figure, at_least
from benches.ground import Ground, Stopwatch, Unmeasurable, settle
from clinics.clinic import Clinic
from clinics.mesh import mesh
from clinics.scanner import Study, write_slices

COUNT = 952
"""Slices of 0.525 MB: 500 MB."""

BLOCK_BYTES = 256 * 1024
"""Of the bare socket; what meshpacs's links read and write, too."""

TUNING = {"TCP_NODELAY": "1"}
TUNED = ("-pdu", "131072", "+B")
"""DCMTK's fastest settings, found by trying: no Nagle's algorithm (which costs it 40 ms an
instance), its largest PDUs, and files written as they come instead of parsed."""


SHARE = 8
"""DCMTK as it comes is given one instance in so many: at its speed all would take a minute."""


def bench(ground: Ground) -> list[Figure]:
    """Rounds of: the mesh, the bare socket, DCMTK; each round fetches another study."""
    count = ground.size(COUNT, 40)
    took: dict[str, list[float]] = {"node": [], "tcp": [], "dcmtk": [], "tuned": []}
    worked: list[tuple[float, float]] = []
    size = 0
    with ground.room("fetch") as room:
        media = room / "media"
        with mesh(room, 2) as (holder, taker):
            for number in range(ground.rounds + 1):
                ground.say(f"round {number}" if number else "warming up")
                study = Study(number + 1)
                size = write_slices(study, count, media, seed=ground.seed)
                holder.take_in(media)
                before = [_processor_s(clinic) for clinic in (holder, taker)]
                seconds = _fetch(taker, study, count)
                after = [_processor_s(clinic) for clinic in (holder, taker)]
                if number:
                    took["node"].append(seconds)
                    worked.append((after[0] - before[0], after[1] - before[1]))
                    took["tcp"].append(_socket(size))
                    if shutil.which("storescu") and shutil.which("storescp"):
                        took["tuned"].append(_dcmtk(media, room / "scp", count, *TUNED, env=TUNING))
                        _thin_out(media, SHARE)
                        took["dcmtk"].append(_dcmtk(media, room / "scp", count // SHARE) * SHARE)
                shutil.rmtree(media)
    if not took["dcmtk"]:
        ground.say("DCMTK is not installed (Debian: apt-get install dcmtk); left out")
    return _figures(took, worked, size / 1e6, count)


def _processor_s(clinic: Clinic) -> float:
    """Processor time of a node so far, where the system tells it (Linux); else 0."""
    try:
        stat = Path(f"/proc/{clinic.pid}/stat").read_text(encoding="ascii")
    except OSError:
        return 0.0
    user, system = stat.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _figures(
    took: dict[str, list[float]], worked: Sequence[tuple[float, float]], mb: float, count: int
) -> list[Figure]:
    rates = {name: tuple(mb / s for s in seconds) for name, seconds in took.items()}
    figures = [
        Figure("node to node", "MB/s", rates["node"],
               f"{mb:.0f} MB in {count} instances; POST /v1/fetch until verified, durable, visible;"
               " two processes", at_least(300)),
        Figure("bare socket", "MB/s", rates["tcp"],
               "the same bytes from memory over loopback TCP to another process, thrown away"),
    ]  # fmt: skip
    if any(map(any, worked)):
        for place, name in enumerate(("holder", "taker")):
            per_mb = tuple(1000 * both[place] / mb for both in worked)
            figures.append(
                Figure(f"{name}'s processor", "ms/MB", per_mb, "user and system, of the same fetch")
            )
    if took["dcmtk"]:
        ratios = tuple(
            theirs / ours for theirs, ours in zip(took["tuned"], took["node"], strict=True)
        )
        tuned = " ".join((*(f"{name}={value}" for name, value in TUNING.items()), *TUNED))
        figures += [
            Figure("DCMTK, as it comes", "MB/s", rates["dcmtk"],
                   "storescu to storescp; clear text, files not made durable, no index;"
                   f" a part of {count // SHARE} instances"),
            Figure("DCMTK, tuned", "MB/s", rates["tuned"], f"all of it, with {tuned}"),
            Figure("node : DCMTK, tuned", "x", ratios, "round by round", at_least(1)),
        ]  # fmt: skip
    return figures


def _thin_out(media: Path, share: int) -> None:
    files = sorted(media.iterdir())
    for path in files[len(files) // share :]:
        path.unlink()


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


def _dcmtk(
    media: Path,
    received: Path,
    count: int,
    *options: str,
    env: Mapping[str, str] = MappingProxyType({}),
) -> float:
    """Seconds from the start of storescu until its last acknowledgement."""
    received.mkdir()
    surroundings = {**os.environ, **env}
    pdu = [option for option in options if option != "+B"]
    with _storescp(received, options, surroundings) as port:
        settle()
        with Stopwatch() as watch:
            done = subprocess.run(
                ["storescu", "-R", *pdu, "+sd", "127.0.0.1", str(port), str(media)],
                capture_output=True, encoding="utf-8", check=False, env=surroundings,
            )  # fmt: skip
    came = sum(1 for _ in received.iterdir())
    shutil.rmtree(received)
    if done.returncode or came != count:
        raise Unmeasurable(f"storescu brought {came} of {count}: {done.stderr[-300:]}")
    return watch.s


@contextmanager
def _storescp(folder: Path, options: Sequence[str], env: Mapping[str, str]) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        ["storescp", *options, "-od", str(folder), str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env,
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
