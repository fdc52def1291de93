"""How the archive's disk is: fine, low, full, read-only, failing, slow or stuck; and who says so.

Nothing is latched: every look tries the disk again, so a disk that is fine again is fine at once. A
look writes a little, in a worker thread, and nobody waits longer than `STUCK_S` for it.
"""

from dataclasses import dataclass

import structlog
import trio

from meshpacs.archive.archive import Archive
from meshpacs.archive.faults import DiskFull, DiskReadOnly
from meshpacs.archive.pace import SLOW_US
from meshpacs.model.errors import MeshError
from meshpacs.node.vault import Vault
from meshpacs.node.views import DiskState, Health, Trouble

log = structlog.get_logger()

LOW_DISK_BYTES = 1024**3
"""Room for instances below which `status` warns: about four large CT studies. A guess."""

LOOK_S = 15.0
"""Between two looks of the node's own. A guess: an operator hears of it within a minute."""

STUCK_S = 8.0
"""How long a look may take. A guess, within the 15 s after which a command gives up."""

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Disk:
    """What a look has found."""

    state: DiskState
    free_bytes: int = 0
    sync_p95_us: int | None = None
    trouble: Trouble | None = None


class Watch:
    """Looks at the disk, now and then or when asked, and logs when its state changes."""

    def __init__(self, vault: Vault) -> None:
        """Nothing is known yet."""
        self._vault = vault
        self._state = DiskState.FINE

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self.look()
            await trio.sleep(LOOK_S)

    async def look(self) -> Disk:
        """How the disk is now."""
        archive = self._vault.archive
        disk = _unanswered(archive)
        with trio.move_on_after(STUCK_S):
            disk = await self._vault.look(lambda: look(archive))
        if disk.state is not self._state:
            self._state = disk.state
            free_mib = disk.free_bytes // MIB
            if disk.trouble is None:
                log.info("disk_fine", free_mib=free_mib)
            else:
                log.warning(
                    "disk_trouble",
                    state=disk.state.value,
                    what=disk.trouble.what,
                    mend=disk.trouble.mend,
                    free_mib=free_mib,
                )
        return disk


def look(archive: Archive) -> Disk:
    """Measure, and try a write; for a worker thread."""
    pace = archive.sync_p95_us()
    archive.tidy()
    try:
        free = archive.free_bytes()
    except MeshError as fault:
        return Disk(DiskState.FAILING, 0, pace, Trouble(Health.BROKEN, fault.what, fault.mend))
    try:
        archive.check_disk()
    except MeshError as fault:
        match fault:
            case DiskFull():
                state = DiskState.FULL
            case DiskReadOnly():
                state = DiskState.READ_ONLY
            case _:
                state = DiskState.FAILING
        what = f"Nothing can be taken in. {fault.what}"
        return Disk(state, free, pace, Trouble(Health.BROKEN, what, fault.mend))
    if pace is not None and pace >= SLOW_US:
        return Disk(DiskState.SLOW, free, pace, _slow(pace))
    if free < archive.keep_free_bytes + LOW_DISK_BYTES:
        left = max(0, free - archive.keep_free_bytes) // MIB
        trouble = Trouble(
            Health.DEGRADED,
            f"Only {left} MiB more can be taken in: {free // MIB} MiB are free on the archive's "
            f"disk, of which {archive.keep_free_bytes // MIB} are kept for the node itself.",
            "Make room, or move the home to a larger disk; `meshpacs delete` takes out studies.",
        )
        return Disk(DiskState.LOW, free, pace, trouble)
    return Disk(DiskState.FINE, free, pace)


def _unanswered(archive: Archive) -> Disk:
    """What is said of a disk that does not answer in time."""
    pace = archive.sync_p95_us()
    if pace is not None and pace >= SLOW_US:
        return Disk(DiskState.SLOW, 0, pace, _slow(pace))
    trouble = Trouble(
        Health.BROKEN,
        f"The archive's disk has not answered within {STUCK_S:.0f} s.",
        "Look whether the disk or its network share is there; the system's log may say more.",
    )
    return Disk(DiskState.STUCK, 0, pace, trouble)


def _slow(pace_us: int) -> Trouble:
    return Trouble(
        Health.DEGRADED,
        f"The archive's disk is slow: one in twenty writes takes {pace_us / 1e6:.1f} s or more to "
        "be durable.",
        "Look what else uses it, and whether it is dying; what is taken in waits for it.",
    )
