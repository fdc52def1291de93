"""Serves an ASGI application on trio, through anycorn."""

import logging
import socket
import sys

import anycorn
import trio
from starlette.types import ASGIApp

from meshpacs.model.address import parse_address, write_address
from meshpacs.model.errors import LocalFault

GRACE_S = 1.0
"""How long requests under way may take once the node stops. A guess: the whole stop takes 5 s."""


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
    host, port = parse_address(address, any_port=True)
    try:
        found = await trio.socket.getaddrinfo(
            host, port, type=trio.socket.SOCK_STREAM, flags=trio.socket.AI_PASSIVE
        )
        family, _, _, _, place = found[0]
        # Tried by ourselves first: anycorn leaves a socket open when it cannot bind.
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            if sys.platform != "win32":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
        literal = write_address(str(place[0]), port)
        config = anycorn.Config()
        config.bind = [literal]
        config.accesslog = None
        config.errorlog = logging.getLogger("anycorn.error")
        config.graceful_timeout = GRACE_S
        config.include_server_header = False
        config.alpn_protocols = ["http/1.1"]
        async with trio.open_nursery() as nursery:
            # A bare cancel would be raised through anycorn; the trigger stops it in good order.
            binds = await nursery.start(_serve, app, config, stop)
            task_status.started(binds[0].removeprefix("http://"))
    except OSError as error:
        raise _cannot_listen(address, error) from error
    except ExceptionGroup as group:
        refused, others = group.split(OSError)
        if refused is None or others is not None:
            raise
        raise _cannot_listen(address, refused) from group


async def _serve(
    app: ASGIApp,
    config: anycorn.Config,
    stop: trio.Event,
    *,
    task_status: trio.TaskStatus[list[str]],
) -> None:
    await anycorn.serve(app, config, shutdown_trigger=stop.wait, task_status=task_status)  # type: ignore[arg-type]


def _cannot_listen(address: str, error: BaseException) -> LocalFault:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    reason = getattr(error, "strerror", None) or str(error)
    return LocalFault(
        f"Nothing can listen on {address}: {reason}.",
        "Choose another address with --http-listen or http.listen in config.toml.",
    )
