"""C-FIND as SCU, with archives that do as they like."""

import threading
from collections.abc import Iterator

import pytest
import trio
from pydicom.dataset import Dataset

from meshpacs.dimse.services import STUDY_ROOT_FIND
from meshpacs.dimse.syntaxes import LITTLE
from meshpacs.gateways.dicom import asking as module
from meshpacs.gateways.dicom.asking import ask
from meshpacs.gateways.dicom.requesting import Wish, associated
from meshpacs.model.attributes import Level


async def test_an_archive_that_does_not_heed_a_cancel_is_not_heard_to_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from pynetdicom import AE, evt

    ended = threading.Event()

    def rows(_: evt.Event) -> Iterator[tuple[int, Dataset]]:
        row = Dataset()
        row.PatientID = "7"
        while not ended.is_set():
            yield 0xFF00, row
        yield 0x0000, row

    monkeypatch.setattr(module, "CANCEL_S", 0.1)
    ae = AE("MESHPACS")
    ae.add_supported_context(STUDY_ROOT_FIND)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_FIND, rows)])
    assert server is not None
    assert server.socket is not None
    wish = Wish("MESHPACS", "TEST", ((STUDY_ROOT_FIND, LITTLE),))
    try:
        with trio.fail_after(20):
            async with associated("127.0.0.1", server.socket.getsockname()[1], wish) as requestor:
                found = await ask(requestor, STUDY_ROOT_FIND, Level.STUDY, (), limit=3)
                ended.set()
    finally:
        ended.set()
        server.shutdown()
        server.server_close()
    assert (len(found.rows), found.status, found.cut) == (3, 0xFF00, True)
