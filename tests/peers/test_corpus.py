"""Every file of pydicom's wheels, sent by DCMTK's storescu: stored is what was sent, byte for byte.

What storescu sends is not always what is in the file, as it reads a data set and writes it anew. So
the same files go to DCMTK's storescp too, which writes exactly what comes (`+B`).
"""

import hashlib
import subprocess
import warnings
from collections import defaultdict
from pathlib import Path

import pydicom
import pytest
import trio
from pydicom.filereader import read_file_meta_info
from structlog.testing import capture_logs

from clinics.clinic import free_ports
from meshpacs.archive.part10 import read_preface
from tests.archive.instances import corpus
from tests.gateways.dicom.doors import opened, tool
from tests.node.houses import street

PROPOSED = {
    "1.2.840.10008.1.2": "-xi",
    "1.2.840.10008.1.2.1": "-xe",
    "1.2.840.10008.1.2.2": "-xb",
    "1.2.840.10008.1.2.1.99": "-xd",
    "1.2.840.10008.1.2.5": "-xr",
    "1.2.840.10008.1.2.4.50": "-xy",
    "1.2.840.10008.1.2.4.51": "-xx",
    "1.2.840.10008.1.2.4.70": "-xs",
    "1.2.840.10008.1.2.4.80": "-xt",
    "1.2.840.10008.1.2.4.81": "-xu",
    "1.2.840.10008.1.2.4.90": "-xv",
    "1.2.840.10008.1.2.4.91": "-xw",
}
"""storescu's word for each transfer syntax that it speaks; it proposes no other, as for HTJ2K."""

NO_STUDY = "C000 It has no Study Instance UID."
REFUSED = {
    **{
        f"{palette}.dcm": NO_STUDY  # objects that belong to no patient (PS3.4 annex GG)
        for palette in (
            "fall", "hotiron", "hotmetalblue", "pet", "pet20step", "spring", "summer", "winter"
        )
    },
    "JPEGLSNearLossless_08.dcm": NO_STUDY,
    "JPEGLSNearLossless_16.dcm": NO_STUDY,
    "SC_rgb_jls_lossy_line.dcm": NO_STUDY,
    "SC_rgb_jls_lossy_sample.dcm": NO_STUDY,
}  # fmt: skip
"""What the node does not keep, with the status and the reason that it gives."""


def syntax_of(file: Path) -> str:
    """A file's transfer syntax, or "" if storescu would not read it."""
    head = file.read_bytes()[:132]
    if head[128:] != b"DICM":
        return ""
    return str(read_file_meta_info(file).get("TransferSyntaxUID", ""))


def instance_of(file: Path) -> str:
    """The SOP Instance UID that storescu announces."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some files are there because they are not quite right
        head = pydicom.dcmread(file, stop_before_pixels=True, force=True)
        return str(head.get("SOPInstanceUID", ""))


def sendable() -> dict[str, list[Path]]:
    """The corpus by transfer syntax."""
    found: dict[str, list[Path]] = defaultdict(list)
    for file in corpus():
        if (syntax := syntax_of(file)) in PROPOSED:
            found[syntax].append(file)
    return dict(found)


def data_sets(folder: Path) -> dict[str, str]:
    """The data sets of all files in a folder, at any depth: digest to SOP Instance UID."""
    found = {}
    for file in folder.rglob("*"):
        if file.is_file():
            data = file.read_bytes()
            preface = read_preface(data, whole=True)
            assert preface is not None
            found[hashlib.sha256(data[preface.offset :]).hexdigest()] = preface.media_uid
    return found


async def send(port: int, word: str, files: list[Path]) -> int:
    """How many of them storescu has sent: all that the other side has a context for."""
    with trio.fail_after(120):
        done = await trio.run_process(
            [tool("storescu"), "-v", "-nh", "-R", word, "-aec", "MESHPACS", "127.0.0.1", str(port),
             *map(str, files)],
            capture_stdout=True, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
    return done.stdout.count(b"Received Store Response")


@pytest.mark.live
async def test_all_of_the_corpus_is_stored_as_storescu_sends_it(tmp_path: Path) -> None:
    got = tmp_path / "storescp"
    got.mkdir()
    (port,) = free_ports(1)
    recorder = await trio.lowlevel.open_process(
        [tool("storescp"), "+B", "+xa", "+uf", "-od", str(got), str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    by_syntax = sendable()
    answered = 0
    try:
        async with street(tmp_path) as houses:
            nord = await houses.founder()
            with capture_logs() as logs:
                async with opened(nord.up.mesh) as door:
                    for syntax, files in by_syntax.items():
                        answered += await send(door.port, PROPOSED[syntax], files)
                        await send(port, PROPOSED[syntax], files)
            stored = data_sets(nord.up.rooms.vault.archive.folder / "blobs")
    finally:
        recorder.kill()
        with trio.move_on_after(10, shield=True):
            await recorder.wait()
    names = {instance_of(file): file.name for files in by_syntax.values() for file in files}
    refused = {
        names[line["sop_instance"]]: f"{line['status']} {line['what']}"
        for line in logs
        if line["event"] == "dicom_instance_refused"
    }
    assert refused == REFUSED
    sent = data_sets(got)
    assert not stored.keys() - sent.keys(), "something was stored that nobody has sent"
    assert {names[sent[one]] for one in sent.keys() - stored.keys()} <= REFUSED.keys()
    assert answered >= 230, "of 254; storescu cannot read the others, or sends no such class"
