"""Processes that decode: whatever becomes of one, the node and the next instance are as before."""

import io
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pydicom
import pytest
import trio
import trio.testing

from meshpacs.archive import decoder
from meshpacs.archive.decoding import decode, installed
from meshpacs.archive.part10 import read_preface
from meshpacs.dimse.contexts import EXPLICIT_LITTLE, IMPLICIT_LITTLE
from meshpacs.dimse.syntaxes import DECODED, KEYWORDS
from meshpacs.model.content import Entry, content_root
from meshpacs.model.errors import LocalFault, MeshError, Unavailable
from meshpacs.model.limits import DECODE_S, DECODERS
from meshpacs.node import decoders as module
from meshpacs.node import rewriting
from meshpacs.node.decoders import Decoders
from meshpacs.node.rewriting import Rewriter
from tests.archive.compressed import data_set, find

pytestmark = pytest.mark.skipif(not installed(), reason="pip install 'meshpacs[pixel]'")

PLANTED = (sys.executable, str(Path(__file__).with_name("planted_decoder.py")))
RLE = KEYWORDS["RLELossless"]
TAIL = RLE.encode() + EXPLICIT_LITTLE.encode()


@asynccontextmanager
async def planted(*words: str, patience_s: float = 60.0) -> AsyncIterator[Decoders]:
    """Decoders that do as they are told, ended afterwards."""
    async with ended(Decoders((*PLANTED, *words), patience_s)) as made:
        yield made


@asynccontextmanager
async def ended(made: Decoders) -> AsyncIterator[Decoders]:
    """These, ended afterwards."""
    try:
        yield made
    finally:
        with trio.CancelScope(shield=True):
            await made.close()
        assert not children()


def children() -> list[str]:
    """Processes of ours that still are."""
    if not Path("/proc/self").exists():
        pytest.skip("without /proc nobody can tell")
    mine = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    pids = [pid for path in mine for pid in path.read_text().split()]
    return [pid for pid in pids if b"decoder" in Path(f"/proc/{pid}/cmdline").read_bytes()]


async def told(made: Decoders, word: str) -> bytes:
    return bytes(await made.decode(word.encode(), RLE, EXPLICIT_LITTLE))


@pytest.mark.parametrize(
    ("word", "fault", "why"),
    [
        ("crash", Unavailable, r"Decoding RLELossless ended its process \(signal 11\)"),
        ("exit", Unavailable, r"ended its process \(exit code 3\)"),
        ("leave", Unavailable, r"ended its process \(exit code 5\)"),
        ("explode", LocalFault, "more memory than their size allows"),
        ("refuse", LocalFault, "It is not what it says"),
    ],
)
async def test_what_one_instance_does_to_its_decoder_the_next_does_not_notice(
    word: str, fault: type[MeshError], why: str
) -> None:
    async with planted() as made:
        assert await told(made, "before") == b"BEFORE" + TAIL
        for _ in range(2):
            with pytest.raises(fault, match=why):
                await told(made, word)
        assert await told(made, "after") == b"AFTER" + TAIL


async def test_a_decoder_that_hangs_is_ended_and_replaced() -> None:
    async with planted(patience_s=60) as made:
        assert await told(made, "before") == b"BEFORE" + TAIL
        made._patience_s = 0.1
        with pytest.raises(Unavailable, match="RLELossless was not decoded within"):
            await told(made, "hang")
        assert not children()
        made._patience_s = 60
        assert await told(made, "after") == b"AFTER" + TAIL


async def test_whoever_waits_no_longer_leaves_no_process() -> None:
    async with planted() as made:
        await told(made, "before")
        with trio.move_on_after(0.1):
            await told(made, "hang")
        assert not children()


async def test_nothing_is_imported_from_the_folder_that_one_is_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be a medium with images, and whatever else its maker has put there."""
    monkeypatch.chdir(tmp_path)
    for name in ("gdcm", "numpy", "pydicom", "meshpacs"):
        (tmp_path / f"{name}.py").write_text(f"open({name!r}, 'w').close()")
    data = data_set(find("MR_small_RLE.dcm"))
    async with ended(Decoders()) as made:
        assert len(await made.decode(data, RLE, EXPLICIT_LITTLE)) > 2 * 64 * 64
    assert not [path.name for path in tmp_path.iterdir() if path.suffix != ".py"]


@pytest.mark.skipif(sys.platform == "win32", reason="there nothing bounds that")
async def test_a_decoder_can_open_neither_file_nor_connection() -> None:
    async with planted() as made:
        assert await told(made, "open") == b"OPEN" + TAIL


@pytest.mark.parametrize(
    "name", ["MR_small_RLE.dcm", "MR_small_jpeg_ls_lossless.dcm", "MR_small_jp2klossless.dcm"]
)
@pytest.mark.parametrize("terms", ["ISO 2022 IR 6\\ISO 2022 IR 87", "ISO_IR 144", "GB18030"])
async def test_a_decoder_has_imported_whatever_it_needs(name: str, terms: str) -> None:
    image = pydicom.dcmread(find(name))
    image.SpecificCharacterSet = terms.split("\\")
    image.PatientComments = {"ISO_IR 144": "Иванов", "GB18030": "王"}.get(terms, "山田")
    source, written = str(image.file_meta.TransferSyntaxUID), io.BytesIO()
    image.save_as(written)
    preface = read_preface(written.getvalue(), whole=True)
    assert preface is not None
    data = written.getvalue()[preface.offset :]
    async with ended(Decoders()) as made:
        found = await made.decode(data, source, IMPLICIT_LITTLE)
        assert bytes(found) == decode(data, source, IMPLICIT_LITTLE)


async def test_what_libraries_print_is_in_no_answer() -> None:
    async with planted() as made:
        assert await told(made, "print") == b"PRINT" + TAIL
        assert await told(made, "after") == b"AFTER" + TAIL


async def test_an_answer_that_is_too_large_is_not_waited_for() -> None:
    async with planted("lie") as made:
        with pytest.raises(Unavailable, match="ended its process"):
            await told(made, "x")


async def test_only_so_many_work_at_once_and_are_kept() -> None:
    async with planted() as made:
        async with trio.open_nursery() as nursery:
            for number in range(3 * DECODERS):
                nursery.start_soon(told, made, str(number))
        assert len(children()) == DECODERS


async def test_one_without_work_ends_and_the_next_job_has_a_new_one() -> None:
    async with planted() as made:
        await told(made, "before")
        (process,) = made._idle
        process.kill()  # as if its time were over
        await process.wait()
        assert await told(made, "after") == b"AFTER" + TAIL


async def test_a_machine_that_starts_no_more_processes_costs_the_instance_alone() -> None:
    made = Decoders(("/nowhere/at/all",))
    with pytest.raises(Unavailable, match="No process to decode it could be started: No such file"):
        await told(made, "x")
    assert made._places.borrowed_tokens == 0


async def test_one_bounds_its_own_time_as_its_node_may_be_killed() -> None:
    async with planted() as made:
        assert 0 < float((await told(made, "clock"))[: -len(TAIL)]) <= DECODE_S + decoder.GRACE_S


def test_one_waits_for_work_only_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder, "DECODER_IDLE_S", 0.01)
    end, begin = os.pipe()
    with open(end, "rb") as jobs, open(begin, "wb", buffering=0) as node:  # noqa: PTH123
        assert not decoder._is_more(jobs)
        node.write(b"a job")
        assert decoder._is_more(jobs)


async def test_a_real_one_decodes() -> None:
    made = Decoders()
    assert made.decodable == DECODED
    data = data_set(find("MR_small_RLE.dcm"))
    try:
        decoded = await made.decode(data, RLE, EXPLICIT_LITTLE)
        assert bytes(decoded) == decode(data, RLE, EXPLICIT_LITTLE)
        with pytest.raises(LocalFault, match="cannot be decoded: RuntimeError"):
            await made.decode(data, KEYWORDS["JPEG2000"], EXPLICIT_LITTLE)
    finally:
        with trio.CancelScope(shield=True):
            await made.close()


async def test_without_the_extra_nothing_is_decodable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "installed", lambda: False)
    assert Decoders().decodable == frozenset()


# ---------------------------------------------------------------- places


def entry(data: bytes, syntax: str) -> Entry:
    size = len(data)
    return Entry("1.2.3", "1.2", "1.2.4", "MR", syntax, size, content_root(size, b""))


async def test_a_large_one_keeps_its_place_until_it_was_sent_and_a_small_one_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rewriting, "REWRITTEN_AT_ONCE", 1)
    data = data_set(find("MR_small.dcm"))
    implicit, explicit = KEYWORDS["ImplicitVRLittleEndian"], EXPLICIT_LITTLE
    rewriter = Rewriter(Decoders())
    one = entry(data, explicit)
    async with (
        rewriter.rewritten(one, implicit, lambda: data) as first,
        rewriter.rewritten(one, implicit, lambda: data) as second,
    ):
        assert first == second
    monkeypatch.setattr(rewriting, "REWRITTEN_FREE_BYTES", 0)
    got: list[bool] = []

    async def another() -> None:
        async with rewriter.rewritten(one, implicit, lambda: data):
            got.append(True)

    async with trio.open_nursery() as nursery, rewriter.rewritten(one, implicit, lambda: data):
        nursery.start_soon(another)
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert not got
    assert got


async def test_what_is_too_large_is_not_read_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rewriting, "REWRITTEN_BYTES", 10)
    rewriter = Rewriter(Decoders())
    with pytest.raises(Unavailable, match="the transfer syntax, ExplicitVRLittleEndian"):
        async with rewriter.rewritten(entry(bytes(11), EXPLICIT_LITTLE), "1.2", bytes):
            pass
    assert rewriter._places.borrowed_tokens == 0
