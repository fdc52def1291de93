"""The listeners: who dials in is let in or hears nothing (PROTOCOL 2.1)."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import structlog
import trio

from meshpacs.links.callers import Callers, peer_address
from meshpacs.links.gatekeeper import Gatekeeper
from meshpacs.links.handshake import answer
from meshpacs.links.link import Link
from meshpacs.model.address import parse_address, write_address
from meshpacs.model.errors import LocalFault, MeshError, Unavailable
from meshpacs.model.limits import HANDSHAKE_S, HANDSHAKES, STRANGERS

log = structlog.get_logger()

GOODBYE_S = 1.0
"""Seconds that closing the listeners may take; it takes none, but no shield is without a limit."""

BACKLOG = 128
"""Connections that the system keeps for us. A guess."""


REFUSALS_TOLD = 60
"""Lines a minute about those who were turned away; strangers fill no log. A guess."""


class RefusalLog:
    """What is done with a refusal where nobody asks for it: a line, up to so many a minute."""

    def __init__(self) -> None:
        """None was told yet."""
        self._since_s = 0.0
        self._told = 0
        self._untold = 0

    def __call__(self, address: str, error: MeshError) -> None:
        """Tell it, or count it."""
        now = trio.current_time()
        if now - self._since_s >= 60:
            if self._untold:
                log.info("dialers_refused", more=self._untold)
            self._since_s, self._told, self._untold = now, 0, 0
        if self._told < REFUSALS_TOLD:
            self._told += 1
            log.info("dialer_refused", address=address, reason=error.what)
        else:
            self._untold += 1


class Door:
    """Listens on TCP and hands finished links on."""

    def __init__(
        self,
        gate: Gatekeeper,
        on_link: Callable[[Link], Awaitable[None]],
        on_refused: Callable[[str, MeshError], None] | None = None,
    ) -> None:
        """`on_link` serves a link, of whatever purpose, to its end.

        `on_refused` is told the dialer's address and why it was turned away; the dialer is not.
        Without it the log is.
        """
        self._gate = gate
        self._on_link = on_link
        self._on_refused = on_refused or RefusalLog()
        self._listeners: list[trio.SocketListener] = []
        self._callers = Callers(STRANGERS, HANDSHAKES)

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
            async with trio.open_nursery() as links:
                accept = partial(self._callers.accept, connections=links)
                await links.start(accept, self._listeners, self._serve)
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
        address = peer_address(stream)
        try:
            await self._on_link(await self._shake(stream, address))
        except MeshError as error:
            self._on_refused(address, error)
        except Exception:
            # A task's top: a fault in serving one link must not end all others.
            log.exception("link_failed", address=address)

    async def _shake(self, stream: trio.SocketStream, address: str) -> Link:
        """A handshake within its deadline, and as long as nobody needs the room."""
        with self._callers.enter(address) as caller, caller.scope:
            caller.scope.deadline = trio.current_time() + HANDSHAKE_S
            heard = partial(self._callers.known, caller)
            return await answer(stream, self._gate, address, heard)
        if caller.pushed_out:
            raise Unavailable("It made room for others before its handshake was over.")
        raise Unavailable("It did not finish its handshake in time.")


def _own_address(name: tuple[str, int]) -> str:
    return write_address(name[0], name[1])
