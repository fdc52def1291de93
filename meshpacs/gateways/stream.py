"""A response of one JSON object a line, written while the work goes on (application/x-ndjson).

Starlette's own streaming takes an async generator, which is left hanging when the client goes away
while a chunk is being sent; then what the generator holds open (a query at the members, say) would
stay open. Here the work is a plain task, and a client that leaves cancels it.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol

import msgspec
import trio
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from meshpacs.gateways.faults import fault_body, fault_status, only_fault
from meshpacs.gateways.shapes import Json
from meshpacs.model.errors import MeshError


class Write(Protocol):
    """Sends objects, each as one line."""

    async def __call__(self, *lines: Json) -> None:
        """Send them together."""
        ...


class Lines:
    """An ASGI application that does `work` and sends what it writes."""

    def __init__(self, work: Callable[[Write], Awaitable[None]]) -> None:
        """`work` is handed what sends lines."""
        self._work = work
        self._started = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve it. A fault before the first line is a status; after it, a last line."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_when_gone, receive, nursery.cancel_scope)
            try:
                await self._work(partial(self._write, send))
            except (MeshError, ExceptionGroup) as error:
                fault = only_fault(error)
                if fault is None:
                    raise
                if not self._started:
                    refusal = JSONResponse(fault_body(fault), fault_status(fault))
                    await refusal(scope, receive, send)
                    nursery.cancel_scope.cancel()
                    return
                await self._write(send, {"event": "error", **fault_body(fault)})
            await self._start(send)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            nursery.cancel_scope.cancel()

    async def _start(self, send: Send) -> None:
        if self._started:
            return
        self._started = True
        headers = [(b"content-type", b"application/x-ndjson"), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})

    async def _write(self, send: Send, *lines: Json) -> None:
        await self._start(send)
        body = b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
        await send({"type": "http.response.body", "body": body, "more_body": True})


async def _cancel_when_gone(receive: Receive, scope: trio.CancelScope) -> None:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            scope.cancel()
            return
