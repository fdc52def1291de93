"""The listeners: who dials in is let in or hears nothing (PROTOCOL 2.1)."""

from collections.abc import Awaitable, Callable, Sequence

import structlog
import trio

from meshpacs.links.gatekeeper import Gatekeeper
from meshpacs.links.handshake import answer
from meshpacs.links.link import Link
from meshpacs.model.address import parse_address, write_address
from meshpacs.model.errors import LocalFault, MeshError, Unavailable
from meshpacs.model.limits import HANDSHAKE_S, HANDSHAKES

log = structlog.get_logger()

GOODBYE_S = 1.0
"""Seconds that closing the listeners may take; it takes none, but no shield is without a limit."""

BACKLOG = 128
"""Connections that the system keeps for us. A guess."""


def log_refusal(address: str, error: MeshError) -> None:
    """What is done with a refusal where nobody asks for it."""
    log.info("dialer_refused", address=address, reason=error.what)


class Door:
    """Listens on TCP and hands finished links on."""

    def __init__(
        self,
        gate: Gatekeeper,
        on_link: Callable[[Link], Awaitable[None]],
        on_refused: Callable[[str, MeshError], None] = log_refusal,
    ) -> None:
        """`on_link` serves a link, of whatever purpose, to its end.

        `on_refused` is told the dialer's address and why it was turned away; the dialer is not.
        """
        self._gate = gate
        self._on_link = on_link
        self._on_refused = on_refused
        self._listeners: list[trio.SocketListener] = []
        self._shaking: dict[trio.CancelScope, None] = {}

    async def listen(self, addresses: Sequence[str]) -> tuple[str, ...]:
        """Open listeners, IPv4 and IPv6; the addresses they have got. Port 0 picks one.

        Raises:
            LocalFault: one of them cannot be had; none is open then.
        """
        for address in addresses:
            host, port = parse_address(address, any_port=True)
            try:
                self._listeners += await trio.open_tcp_listeners(port, host=host, backlog=BACKLOG)
            except OSError as error:
                await self.aclose()
                raise LocalFault(
                    f"The mesh cannot be served on {address}: {error.strerror or error}.",
                    "Stop what uses that port, or choose another with --mesh-listen.",
                ) from error
        return tuple(_own_address(listener.socket.getsockname()) for listener in self._listeners)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Let in until cancelled; every link is served in here, and ends with it."""
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(trio.serve_listeners, self._serve, self._listeners)
                task_status.started()
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Stop listening."""
        with trio.move_on_after(GOODBYE_S, shield=True):
            for listener in self._listeners:
                await listener.aclose()
        self._listeners.clear()

    async def _serve(self, stream: trio.SocketStream) -> None:
        """One connection, from its first byte to its end."""
        address = _peer_address(stream)
        try:
            link = await self._shake(stream, address)
            if link is not None:
                await self._on_link(link)
        except MeshError as error:
            self._on_refused(address, error)
        except Exception:
            # A task's top: a fault in serving one link must not end all others.
            log.exception("link_failed", address=address)
        finally:
            await trio.aclose_forcefully(stream)

    async def _shake(self, stream: trio.SocketStream, address: str) -> Link | None:
        """A handshake within its deadline, and as long as nobody newer needs the room."""
        if len(self._shaking) >= HANDSHAKES:
            # The oldest goes: an honest handshake takes milliseconds, so what is old is not
            # honest, and ten thousand silent connections do not shut out a member.
            oldest = next(iter(self._shaking))
            del self._shaking[oldest]
            oldest.cancel()
        with trio.move_on_after(HANDSHAKE_S) as scope:
            self._shaking[scope] = None
            try:
                return await answer(stream, self._gate, address)
            finally:
                self._shaking.pop(scope, None)
        raise Unavailable("It did not finish its handshake in time.")


def _own_address(name: tuple[str, int]) -> str:
    return write_address(name[0], name[1])


def _peer_address(stream: trio.SocketStream) -> str:
    try:
        return _own_address(stream.socket.getpeername())
    except OSError:  # it has hung up already
        return "unknown"
