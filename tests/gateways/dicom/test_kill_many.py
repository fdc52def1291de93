"""What was acknowledged is there after a kill -9 (the promise of README's technician's page)."""

import random
import sys
from pathlib import Path

import pytest
import trio

from meshpacs.archive.archive import Archive
from meshpacs.dimse.commands import StoreRequest
from meshpacs.dimse.contexts import EXPLICIT_LITTLE
from meshpacs.gateways.dicom.requesting import Wish, associated
from meshpacs.model.address import parse_address
from meshpacs.model.errors import MeshError
from tests.cli.living import ANYWHERE, Live, meshpacs, up
from tests.gateways.dicom.test_storing import data_set_of
from tests.node.clinics import CT, STUDY, instance

pytestmark = [
    pytest.mark.live,
    pytest.mark.timeout(180),
    pytest.mark.skipif(sys.platform == "win32", reason="kill -9"),
]

SENDERS = 4


async def storm(node: Live, seed: int) -> dict[str, None]:
    """Senders on associations of their own, until the node is killed; what was acknowledged."""
    host, port = parse_address(node.ready["dicom"][0])
    acknowledged: dict[str, None] = {}
    enough = random.Random(seed).randint(20, 60)

    async def send(first: int) -> None:
        wish = Wish("MESHPACS", f"SENDER{first}", ((CT, (EXPLICIT_LITTLE,)),))
        try:
            async with associated(host, port, wish) as requestor:
                for number in range(first, 100_000, SENDERS):
                    uid = f"{STUDY}.1.{number}"
                    request = StoreRequest(
                        has_data=True, message_id=requestor.next_id(), sop_class=CT, sop_uid=uid
                    )
                    data = data_set_of(instance(number, size=50_000))
                    (context,) = requestor.agreement.of(CT)
                    if (await requestor.ask(context.id, request, data)).status == 0:
                        acknowledged[uid] = None
        except* MeshError:
            pass  # it was killed

    async with trio.open_nursery() as nursery:
        for first in range(SENDERS):
            nursery.start_soon(send, first)
        with trio.fail_after(120):
            while len(acknowledged) < enough:
                await trio.sleep(0.001)
        node.process.kill()
    node.process.wait()
    return acknowledged


@pytest.mark.parametrize("seed", list(range(10, 22)))
def test_every_instance_that_was_acknowledged_is_there_after_a_kill(
    tmp_path: Path, seed: int
) -> None:
    home = tmp_path / "nord"
    assert meshpacs(home, "init", "--name", "Nord", *ANYWHERE).code == 0
    with up(home) as node:
        acknowledged = trio.run(storm, node, seed)
    with Archive.open(home / "archive") as archive:
        held = {entry.sop_uid for entry in archive.study_entries(STUDY)}
    lost = sorted(set(acknowledged) - held)
    assert lost == [], f"seed {seed}: {len(lost)} of {len(acknowledged)} are lost"
    assert len(acknowledged) >= 20
