"""Serves an ASGI application on trio, through anycorn.

Accepting is ours: anycorn's own loop ends, and the node with it, when a process may open no more
files, and has no limit on connections that never say anything.
"""

import logging
import socket
import sys
from functools import partial

import anyio.abc
import structlog
import trio
from anycorn import Config
from anycorn.app_wrappers import ASGIWrapper
from anycorn.tcp_server import TCPServer
from anycorn.typing import ConnectionState
from anycorn.worker_context import WorkerContext
from starlette.types import ASGIApp

from meshpacs.gateways.gate import ADMITTED
from meshpacs.model.address import parse_address, write_address
from meshpacs.model.errors import LocalFault
from meshpacs.model.limits import ADMIN_STRANGER_S
from meshpacs.node.callers import Caller, admin_callers, peer_address

log = structlog.get_logger()

GRACE_S = 1.0
"""How long requests under way may take once the node stops. A guess: the whole stop takes 5 s."""

BACKLOG = 128
"""Connections that the system keeps for us. A guess."""


async def serve_http(
    app: ASGIApp,
    address: str,
    stop: trio.Event,
    *,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until `stop` is set; `task_status` tells the address that was bound.

    Raises:
        LocalFault: nothing can listen there; the error names the address.
    """
    listener = await _listen(address)
    name = listener.socket.getsockname()
    server = _Server(app)
    async with trio.open_nursery() as connections, trio.open_nursery() as accepting:
        accept = partial(server.callers.accept, connections=connections)
        await accepting.start(accept, [listener], server.serve)
        task_status.started(write_address(name[0], name[1]))
        await stop.wait()
        accepting.cancel_scope.cancel()
        await server.context.terminated.set()
        connections.cancel_scope.deadline = trio.current_time() + GRACE_S


class _Server:
    """What all connections share."""

    def __init__(self, app: ASGIApp) -> None:
        self.callers = admin_callers()
        self.context = WorkerContext(None)
        self._app = ASGIWrapper(app)  # type: ignore[arg-type]
        self._config = Config()
        self._config.accesslog = None
        self._config.errorlog = logging.getLogger("anycorn.error")
        self._config.include_server_header = False

    async def serve(self, stream: trio.SocketStream) -> None:
        """One connection; raises nothing."""
        with self.callers.enter(peer_address(stream)) as caller, caller.scope:
            caller.scope.deadline = trio.current_time() + ADMIN_STRANGER_S
            try:
                # anycorn speaks anyio's streams: the socket changes hands.
                with socket.socket(fileno=stream.socket.detach()) as raw:
                    await self._speak(raw, caller)
            except Exception:
                # A task's top: a fault in serving one must not end all others.
                log.exception("admin_connection_failed")

    async def _speak(self, raw: socket.socket, caller: Caller) -> None:
        try:
            stream = await anyio.abc.SocketStream.from_socket(raw)
        except ValueError:  # anyio's word for one that has hung up meanwhile
            return
        state = ConnectionState({ADMITTED: partial(self._known, caller)})
        await TCPServer(self._app, self._config, self.context, state, stream).run()

    def _known(self, caller: Caller) -> None:
        self.callers.known(caller)
        caller.scope.deadline = float("inf")


async def _listen(address: str) -> trio.SocketListener:
    host, port = parse_address(address, any_port=True)
    try:
        found = await trio.socket.getaddrinfo(
            host, port, type=trio.socket.SOCK_STREAM, flags=trio.socket.AI_PASSIVE
        )
        family, _, _, _, place = found[0]
        listening = trio.socket.socket(family, trio.socket.SOCK_STREAM)
        try:
            if sys.platform != "win32":
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            await listening.bind(place)
            listening.listen(BACKLOG)
        except BaseException:
            listening.close()
            raise
    except OSError as error:
        raise LocalFault(
            f"Nothing can listen on {address}: {error.strerror or error}.",
            "Choose another address with --http-listen or http.listen in config.toml.",
        ) from error
    return trio.SocketListener(listening)
