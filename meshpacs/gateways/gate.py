"""Who may speak to the admin API: whoever holds the token, and no web page (DNS rebinding)."""

import hmac
import ipaddress

import trio
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from meshpacs.model.errors import LocalFault
from meshpacs.model.limits import HTTP_BODY_BYTES

BODY_S = 15.0
"""Seconds in which a request's body must have come. A guess; headers have anycorn's 5 s."""


ADMITTED = "admitted"
"""In a connection's state: what is to be called once it has shown the token."""


class Gate:
    """ASGI middleware: checks host, origin, token and declared size before anything else runs."""

    def __init__(self, app: ASGIApp, *, token: str, host: str) -> None:
        """`host` is what the API listens on, by name or address."""
        self._app = app
        self._expected = f"Bearer {token}".encode()
        self._host = host.lower()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let it pass, or answer in its stead."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # a WebSocket is closed by the server when nobody accepts it
        refusal = self._refuse(Headers(scope=scope))
        if refusal is None:
            if tell := scope.get("state", {}).get(ADMITTED):
                tell()
            await self._app(scope, receive, send)
            return
        status, what, mend = refusal
        await JSONResponse({"what": what, "mend": mend}, status)(scope, receive, send)

    def _refuse(self, headers: Headers) -> tuple[int, str, str] | None:
        # A page in the operator's browser may let its own name point here. Browsers then send
        # that name as Host, and most send Origin; neither is ever right for this API.
        if not self._is_ours(headers.get("host", "")) or "origin" in headers:
            return (
                421,
                "This is not a web site.",
                "Use the meshpacs command or a plain HTTP client.",
            )
        given = headers.get("authorization", "").encode()
        if not hmac.compare_digest(given, self._expected):
            return (
                401,
                "The token is missing or wrong.",
                "Send `Authorization: Bearer …` with what admin.token in the node's home holds.",
            )
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > HTTP_BODY_BYTES:
            return 413, f"A request's body has at most {HTTP_BODY_BYTES} bytes.", "Send less."
        return None

    def _is_ours(self, host: str) -> bool:
        """An address, localhost, or the very name that is listened on; never another name."""
        name = host.lower()
        name = name[1:].partition("]")[0] if name.startswith("[") else name.partition(":")[0]
        if name in ("localhost", self._host):
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


async def read_body(receive: Receive) -> bytes:
    """A request's body.

    Raises:
        LocalFault: it is larger than `HTTP_BODY_BYTES`, or did not come whole.
    """
    body = bytearray()
    with trio.move_on_after(BODY_S):
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                break
            body += message.get("body", b"")
            if len(body) > HTTP_BODY_BYTES:
                raise LocalFault(
                    f"A request's body has at most {HTTP_BODY_BYTES} bytes.", "Send less."
                )
            if not message.get("more_body", False):
                return bytes(body)
    raise LocalFault("The request's body did not come whole.", "Send it again.")
