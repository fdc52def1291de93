"""Listens for DICOM callers, and lets each of them harm nobody but itself."""

from collections.abc import Sequence

import structlog
import trio

from meshpacs.gateways.dicom.channel import Channel
from meshpacs.gateways.dicom.session import House, serve_association
from meshpacs.model.address import parse_address, write_address
from meshpacs.model.errors import LocalFault, MeshError
from meshpacs.model.limits import DICOM_ASSOCIATIONS, DICOM_CALLERS

log = structlog.get_logger()

BACKLOG = 64
"""Connections that the system holds for us until they are accepted. A guess."""

GOODBYE_S = 1.0
"""Seconds that telling a peer of our stop may take. A guess; a whole stop takes 5."""


class DicomDoor:
    """All associations of one node."""

    def __init__(self, house: House) -> None:
        """Nothing is listened on yet."""
        self._house = house
        self._callers = 0
        self._associations = 0

    async def serve(
        self,
        addresses: Sequence[str],
        stop: trio.Event,
        *,
        task_status: trio.TaskStatus[tuple[str, ...]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve until `stop` is set; `task_status` tells the addresses that were bound.

        Raises:
            LocalFault: nothing can listen there; the error names the address.
        """
        listeners = await _listeners(addresses)
        async with trio.open_nursery() as nursery:
            for listener in listeners:
                await nursery.start(trio.serve_listeners, self._serve, [listener])
            bound = [listener.socket.getsockname() for listener in listeners]
            task_status.started(tuple(write_address(name[0], name[1]) for name in bound))
            await stop.wait()
            nursery.cancel_scope.cancel()

    async def _serve(self, stream: trio.SocketStream) -> None:
        """One connection: a task's top."""
        host = _host(stream)
        if self._callers >= DICOM_CALLERS:
            log.warning("dicom_too_many_connections", host=host)
            await trio.aclose_forcefully(stream)
            return
        self._callers += 1
        channel = Channel(stream.socket)
        counted = False

        def has_room() -> bool:
            nonlocal counted
            if self._associations >= DICOM_ASSOCIATIONS:
                return False
            self._associations += 1
            counted = True
            return True

        try:
            await serve_association(self._house, channel, host, has_room)
        except MeshError as fault:
            log.info("dicom_association_lost", host=host, what=fault.what)
        except Exception:
            # One association must not end the others, nor the node.
            log.exception("dicom_association_failed", host=host)
        finally:
            self._callers -= 1
            self._associations -= counted
            with trio.move_on_after(GOODBYE_S, shield=True):
                await channel.abort()
            await trio.aclose_forcefully(stream)


async def _listeners(addresses: Sequence[str]) -> list[trio.SocketListener]:
    found: list[trio.SocketListener] = []
    for address in addresses:
        host, port = parse_address(address, any_port=True)
        try:
            found += await trio.open_tcp_listeners(port, host=host, backlog=BACKLOG)
        except OSError as error:
            for listener in found:
                await trio.aclose_forcefully(listener)
            raise LocalFault(
                f"DICOM cannot be served on {address}: {error.strerror or error}.",
                "Stop what uses that port, or choose another with --dicom-listen.",
            ) from error
    return found


def _host(stream: trio.SocketStream) -> str:
    try:
        return str(stream.socket.getpeername()[0])
    except OSError:  # it has hung up already
        return "unknown"
