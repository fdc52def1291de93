"""Listens for DICOM callers, and lets each of them harm nobody but itself."""

import ssl
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import structlog
import trio

from meshpacs.gateways.dicom.channel import Channel
from meshpacs.gateways.dicom.once import Once
from meshpacs.gateways.dicom.prompt import Prompt
from meshpacs.gateways.dicom.session import House, serve_association
from meshpacs.gateways.dicom.tls import TlsSocket, look
from meshpacs.model.address import is_loopback, parse_address, subscriber, write_address
from meshpacs.model.errors import LocalFault, MeshError, Unavailable
from meshpacs.model.limits import DICOM_ASSOCIATIONS, DICOM_ASSOCIATIONS_OF_ONE, TLS_HANDSHAKE_S
from meshpacs.node.callers import Caller, dicom_callers, peer_address
from meshpacs.node.credentials import Credentials, no_key

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
        self._refused = Once()

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
        await self._listen(addresses, "--dicom-listen", self._serve, stop, task_status)

    async def serve_tls(
        self,
        addresses: Sequence[str],
        stop: trio.Event,
        *,
        task_status: trio.TaskStatus[tuple[str, ...]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """The same over TLS."""
        await self._listen(addresses, "--dicom-tls-listen", self._serve_tls, stop, task_status)

    async def _listen(
        self,
        addresses: Sequence[str],
        option: str,
        serve: Callable[[trio.SocketStream], Awaitable[None]],
        stop: trio.Event,
        task_status: trio.TaskStatus[tuple[str, ...]],
    ) -> None:
        listeners = await _listeners(addresses, option)
        async with trio.open_nursery() as nursery:
            accept = partial(self._callers.accept, connections=nursery)
            await nursery.start(accept, listeners, serve)
            task_status.started(tuple(_address(listener) for listener in listeners))
            await stop.wait()
            nursery.cancel_scope.cancel()

    async def _serve(self, stream: trio.SocketStream) -> None:
        """One connection: a task's top."""
        with self._entered(stream) as (caller, host):
            await self._associate(Channel(Prompt(stream.socket)), caller, host)

    async def _serve_tls(self, stream: trio.SocketStream) -> None:
        """One connection to the port for TLS: a task's top."""
        with self._entered(stream) as (caller, host):
            credentials = self._house.credentials()
            tls = await self._shaken(stream.socket, host, credentials)
            if tls is None or credentials is None:
                return
            vouched_for = partial(credentials.vouch_for, shown=tls.shown)
            try:
                await self._associate(Channel(tls), caller, host, vouched_for)
            finally:
                with trio.move_on_after(GOODBYE_S, shield=True):
                    await tls.goodbye()

    async def _shaken(
        self, sock: trio.socket.SocketType, host: str, credentials: Credentials | None
    ) -> TlsSocket | None:
        """A connection after its handshake; None if there was none, which the log was told."""
        fault: MeshError = Unavailable("It has not ended its TLS handshake in time.")
        with trio.move_on_after(TLS_HANDSHAKE_S):
            try:
                await look(sock)
                tls = TlsSocket(sock, _accepting(credentials))
                await tls.handshake()
            except MeshError as error:
                fault = error
            except Exception:
                # As below: one connection must not end the others.
                log.exception("dicom_tls_failed", host=host)
                return None
            else:
                return tls
        if self._refused.first(host, fault.what):
            log.warning("dicom_tls_refused", host=host, why=fault.what, mend=fault.mend)
        return None

    @contextmanager
    def _entered(self, stream: trio.SocketStream) -> Iterator[tuple[Caller, str]]:
        """A caller's place, for as long as nobody needs it more."""
        address = peer_address(stream)
        host = _host(address)
        with self._callers.enter(address) as caller:
            try:
                with caller.scope:
                    yield caller, host
            finally:
                self._admitted.pop(caller, None)
        if caller.pushed_out:
            log.warning("dicom_caller_made_room", host=host)

    async def _associate(
        self,
        channel: Channel,
        caller: Caller,
        host: str,
        vouched_for: Callable[[str], bool] = lambda _: True,
    ) -> None:
        admit = partial(self._admit, caller, host)
        try:
            await serve_association(self._house, channel, host, admit, vouched_for)
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


def _accepting(credentials: Credentials | None) -> ssl.SSLContext:
    if credentials is None:
        raise no_key()
    return credentials.accepting


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
