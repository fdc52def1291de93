"""Calls an ASGI application as a server would, without one."""

import json
from dataclasses import dataclass
from typing import Any

import trio
from starlette.types import ASGIApp, Message

TOKEN = "t" * 43


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes
    whole: bool

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.body.splitlines()]


async def ask(
    app: ASGIApp,
    method: str,
    path: str,
    body: object = None,
    *,
    headers: dict[str, str] | None = None,
    raw: bytes | None = None,
    leave_when: trio.Event | None = None,
) -> Reply:
    """One request. The client stays until the answer is whole, or leaves at an event."""
    sent = {"host": "127.0.0.1:7118", "authorization": f"Bearer {TOKEN}"} | (headers or {})
    content = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
    chunks = [content[:10], content[10:]]
    got: list[Message] = []

    async def receive() -> Message:
        if chunks:
            return {"type": "http.request", "body": chunks.pop(0), "more_body": bool(chunks)}
        await (leave_when.wait() if leave_when is not None else trio.sleep_forever())
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        await trio.lowlevel.checkpoint()
        got.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path.partition("?")[0],
        "raw_path": path.partition("?")[0].encode(),
        "query_string": path.partition("?")[2].encode(),
        "headers": [(k.encode(), v.encode()) for k, v in sent.items() if v],
        "http_version": "1.1",
        "scheme": "http",
        "server": ("127.0.0.1", 7118),
        "client": ("127.0.0.1", 5),
        "root_path": "",
        "asgi": {"version": "3.0"},
    }
    await app(scope, receive, send)
    start = next(m for m in got if m["type"] == "http.response.start")
    parts = [m for m in got if m["type"] == "http.response.body"]
    return Reply(
        status=start["status"],
        headers={k.decode(): v.decode() for k, v in start["headers"]},
        body=b"".join(m.get("body", b"") for m in parts),
        whole=bool(parts) and not parts[-1].get("more_body", False),
    )
