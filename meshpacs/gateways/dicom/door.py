"""Listens for DICOM callers, and lets each of them harm nobody but itself."""

from collections.abc import Sequence
from functools import partial

import structlog
import trio

from meshpacs.gateways.dicom.channel import Channel
from meshpacs.gateways.dicom.session import House, serve_association
from meshpacs.model.address import is_loopback, parse_address, subscriber, write_address
from meshpacs.model.errors import LocalFault, MeshError
from meshpacs.model.limits import DICOM_ASSOCIATIONS, DICOM_ASSOCIATIONS_OF_ONE
from meshpacs.node.callers import Caller, dicom_callers, peer_address

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
        self._callers = dicom_callers()
        self._admitted: dict[Caller, str] = {}
        """Who has an association, and whom it is counted by."""

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
        listeners = await _listeners(addresses, "--dicom-listen")
        async with trio.open_nursery() as nursery:
            accept = partial(self._callers.accept, connections=nursery)
            await nursery.start(accept, listeners, self._serve)
            task_status.started(tuple(_address(listener) for listener in listeners))
            await stop.wait()
            nursery.cancel_scope.cancel()

    async def _serve(self, stream: trio.SocketStream) -> None:
        """One connection: a task's top."""
        address = peer_address(stream)
        host = _host(address)
        with self._callers.enter(address) as caller:
            with caller.scope:
                await self._associate(Channel(stream.socket), caller, host)
            self._admitted.pop(caller, None)
        if caller.pushed_out:
            log.warning("dicom_caller_made_room", host=host)

    async def _associate(self, channel: Channel, caller: Caller, host: str) -> None:
        try:
            await serve_association(
                self._house, channel, host, partial(self._admit, caller, host)
            )  # fmt: skip
        except MeshError as fault:
            log.info("dicom_association_lost", host=host, what=fault.what)
        except Exception:
            # One association must not end the others, nor the node.
            log.exception("dicom_association_failed", host=host)
        finally:
            with trio.move_on_after(GOODBYE_S, shield=True):
                await channel.abort()

    def _admit(self, caller: Caller, host: str) -> bool:
        """Whether there is room for an association of this caller's, which then has it."""
        whose = subscriber(host)
        mine = sum(other == whose for other in self._admitted.values())
        if len(self._admitted) >= DICOM_ASSOCIATIONS or (
            mine >= DICOM_ASSOCIATIONS_OF_ONE and not is_loopback(host)
        ):
            return False
        self._admitted[caller] = whose
        self._callers.known(caller)
        return True


async def _listeners(addresses: Sequence[str], option: str) -> list[trio.SocketListener]:
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
                f"Stop what uses that port, or choose another with {option}.",
            ) from error
    return found


def _address(listener: trio.SocketListener) -> str:
    name = listener.socket.getsockname()
    return write_address(name[0], name[1])


def _host(address: str) -> str:
    """Of an address as `peer_address` has it."""
    return parse_address(address)[0] if ":" in address else address
