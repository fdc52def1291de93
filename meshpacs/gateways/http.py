"""The admin API: what the command line, and a clinic's own scripts, talk to (docs/CLI.md)."""

import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Literal, TypeVar

import msgspec
import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from meshpacs.gateways.dicom.requested import Requests, ask_commitment
from meshpacs.gateways.faults import fault_body, fault_status
from meshpacs.gateways.gate import Gate, read_body
from meshpacs.gateways.shapes import (
    committed_shape,
    deleted_shape,
    fetched_shape,
    found_shape,
    plain,
    summary_shape,
    trail_shape,
)
from meshpacs.gateways.stream import Lines, Write
from meshpacs.model.attributes import Level
from meshpacs.model.commitment import Reference
from meshpacs.model.errors import LocalFault, MeshError
from meshpacs.model.identifier import parse_query
from meshpacs.model.ids import SECOND
from meshpacs.model.limits import COMMITMENT_INSTANCES, HOPS, ROWS_PER_HOLDER
from meshpacs.model.member import Role
from meshpacs.model.query import Ball, Everyone
from meshpacs.node.credentials import Credentials, no_key
from meshpacs.node.mesh import Mesh
from meshpacs.node.views import FetchDone

COMMIT_S_MOST = 24 * 3600
"""How long a report may be waited for: some archives look at night."""

BUDGET_S_MOST = 30.0
"""How long a query may be told to take. PROTOCOL 4.4."""

log = structlog.get_logger()


class Find(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /v1/find."""

    keys: tuple[str, ...] = ()
    """`Keyword=value` or `gggg,eeee=value`; `Keyword` alone or `Keyword=` asks for its return."""
    level: Level = Level.STUDY
    scope: Literal["auto", "local", "mesh"] = "auto"
    """`mesh` asks everyone, `auto` what suits the mesh's size."""
    ball: int | None = None
    """Ask everyone within so many hops instead."""
    limit: int = ROWS_PER_HOLDER
    budget_s: float | None = None


class Fetch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /v1/fetch."""

    study_uid: str
    to: str | None = None
    """A folder on the node's machine, absolute, where the files are put as well."""


class Import(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /v1/import."""

    paths: tuple[str, ...]
    """On the node's machine, absolute."""


class Invite(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /v1/invite."""

    role: Role = Role.MEMBER
    expires_s: int = 72 * 3600
    local: bool = False


class Revoke(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /v1/revoke."""

    who: str


class Delete(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /v1/delete."""

    study_uid: str
    confirmed: bool = False
    """Without it nothing is deleted; the answer says what would be, and who else has it."""
    even_if_last: bool = False
    """Also what no other archive that answered has."""


class Commit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /v1/dicom/commit."""

    title: str
    host: str
    port: int
    calling: str
    """What we call ourselves: that archive must know where this title listens."""
    study_uid: str = ""
    """Ask of all of its instances that are in this archive."""
    references: tuple[tuple[str, str], ...] = ()
    """And of these: SOP Class UID and SOP Instance UID."""
    wait_s: float = 60.0
    tls: bool = False
    """Whether it is asked over TLS."""


class Check(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /v1/destinations/check."""

    title: str
    """Of a DICOM machine that one other member shares."""


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of what needs none."""


Wanted = TypeVar("Wanted")


def admin_app(
    mesh: Mesh,
    *,
    token: str,
    host: str,
    requests: Requests | None = None,
    credentials: Callable[[], Credentials | None] = lambda: None,
) -> ASGIApp:
    """The admin API as an ASGI application, behind its gate.

    `requests` hear what comes in at the DICOM door; without them commitment is heard of only on the
    association that it was asked on. `credentials`: what TLS is spoken with, as it is now.
    """
    api = _Api(mesh, requests or Requests(), credentials)
    routes = [
        Route("/v1/status", _guarded(api.status), methods=["GET"]),
        Route("/v1/peers", _guarded(api.peers), methods=["GET"]),
        Route("/v1/counters", _guarded(api.counters), methods=["GET"]),
        Route("/v1/trails", _guarded(api.trails), methods=["GET"]),
        Route("/v1/conflicts", _guarded(api.conflicts), methods=["GET"]),
        Route("/v1/destinations", _guarded(api.destinations), methods=["GET"]),
        Route("/v1/destinations/check", _guarded(api.check), methods=["POST"]),
        Route("/v1/find", _guarded(api.find), methods=["POST"]),
        Route("/v1/fetch", _guarded(api.fetch), methods=["POST"]),
        Route("/v1/import", _guarded(api.take_in), methods=["POST"]),
        Route("/v1/delete", _guarded(api.delete), methods=["POST"]),
        Route("/v1/invite", _guarded(api.invite), methods=["POST"]),
        Route("/v1/revoke", _guarded(api.revoke), methods=["POST"]),
        Route("/v1/dicom/commit", _guarded(api.commit), methods=["POST"]),
        Route("/v1/config/reload", _guarded(api.reload), methods=["POST"]),
        Route("/v1/stop", _guarded(api.stop), methods=["POST"]),
    ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: _not_there})
    return Gate(app, token=token, host=host)


Endpoint = Callable[[Request], Awaitable[Response | Lines]]


def _guarded(endpoint: Endpoint) -> "_Guarded":
    return _Guarded(endpoint)


class _Guarded:
    """The top of one request's task: faults become answers, and nothing else stops the node."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            try:
                response = await self._endpoint(Request(scope, receive))
            except MeshError as fault:
                response = JSONResponse(fault_body(fault), fault_status(fault))
            await response(scope, receive, watched)
        except Exception:
            # The top of a task: one request must not end the node.
            log.exception("request_failed", path=scope["path"])
            if not started:
                body = {"what": "The node met a fault of its own.", "mend": "Its log says more."}
                await JSONResponse(body, 500)(scope, receive, send)


async def _not_there(request: Request, error: Exception) -> Response:
    del request
    assert isinstance(error, HTTPException)
    body = {"what": f"{error.detail}.", "mend": "docs/CLI.md lists what the admin API offers."}
    return JSONResponse(body, error.status_code, headers=error.headers)


class _Api:
    def __init__(
        self, mesh: Mesh, requests: Requests, credentials: Callable[[], Credentials | None]
    ) -> None:
        self._mesh = mesh
        self._requests = requests
        self._credentials = credentials

    async def status(self, request: Request) -> Response:
        del request
        return JSONResponse(plain(await self._mesh.status()))

    async def peers(self, request: Request) -> Response:
        del request
        return JSONResponse({"peers": plain(await self._mesh.peers())})

    async def counters(self, request: Request) -> Response:
        del request
        return JSONResponse({"counters": plain(await self._mesh.counters())})

    async def trails(self, request: Request) -> Response:
        trails = await self._mesh.trails(request.query_params.get("query", ""))
        names = self._mesh.names()
        return JSONResponse({"trails": [trail_shape(trail, names) for trail in trails]})

    async def conflicts(self, request: Request) -> Response:
        del request
        return JSONResponse({"conflicts": plain(await self._mesh.conflicts())})

    async def destinations(self, request: Request) -> Response:
        del request
        return JSONResponse({"shared": plain(await self._mesh.shared())})

    async def check(self, request: Request) -> Response:
        wanted = await _body(request, Check)
        return JSONResponse(plain(await self._mesh.check_shared(wanted.title)))

    async def invite(self, request: Request) -> Response:
        wanted = await _body(request, Invite)
        made = await self._mesh.invite(wanted.role, wanted.expires_s, local=wanted.local)
        return JSONResponse(plain(made))

    async def revoke(self, request: Request) -> Response:
        wanted = await _body(request, Revoke)
        return JSONResponse(plain(await self._mesh.revoke(wanted.who)))

    async def delete(self, request: Request) -> Response:
        wanted = await _body(request, Delete)
        view = await self._mesh.delete(
            wanted.study_uid, even_if_last=wanted.even_if_last, confirmed=wanted.confirmed
        )
        return JSONResponse(deleted_shape(view))

    async def commit(self, request: Request) -> Response:
        wanted = await _body(request, Commit)
        if not 0 < wanted.wait_s <= COMMIT_S_MOST:
            raise LocalFault(
                f"A report cannot be waited for {wanted.wait_s} s.", f"Say up to {COMMIT_S_MOST}."
            )
        references = [Reference(*each) for each in wanted.references]
        if wanted.study_uid:
            references += await self._mesh.references(wanted.study_uid)
        if not 1 <= len(references) <= COMMITMENT_INSTANCES:
            raise LocalFault(
                f"{len(references)} instances to be asked of are here.",
                f"Name a study that is in this archive, or 1 to {COMMITMENT_INSTANCES} files.",
            )
        uid, report = await ask_commitment(
            self._requests,
            wanted.host,
            wanted.port,
            wanted.title,
            wanted.calling,
            tuple(dict.fromkeys(references)),
            wait_s=wanted.wait_s,
            tls=self._dialling(wanted.title) if wanted.tls else None,
        )
        return JSONResponse(committed_shape(wanted.title, uid, report))

    def _dialling(self, title: str) -> ssl.SSLContext:
        credentials = self._credentials()
        if credentials is None:
            raise no_key()
        return credentials.dialling(title)

    async def reload(self, request: Request) -> Response:
        await _body(request, Nothing)
        return JSONResponse(plain(await self._mesh.reload()))

    async def stop(self, request: Request) -> Response:
        await _body(request, Nothing)
        self._mesh.stop()
        return JSONResponse({"stopping": True})

    async def find(self, request: Request) -> Lines:
        wanted = await _body(request, Find)
        if wanted.ball is not None and not 1 <= wanted.ball <= HOPS:
            raise LocalFault(f"A ball of {wanted.ball} hops cannot be asked.", f"Say 1 to {HOPS}.")
        if wanted.ball is not None and wanted.scope != "auto":
            raise LocalFault("Both a ball and a scope were asked for.", "Say one of the two.")
        if not 1 <= wanted.limit <= ROWS_PER_HOLDER:
            raise LocalFault(
                f"A limit of {wanted.limit} rows is not possible.", f"Say 1 to {ROWS_PER_HOLDER}."
            )
        if wanted.budget_s is not None and not 0 < wanted.budget_s <= BUDGET_S_MOST:
            raise LocalFault(
                f"A query cannot take {wanted.budget_s} s.", f"Say up to {BUDGET_S_MOST:.0f}."
            )
        query = parse_query(wanted.keys, wanted.level, limit=wanted.limit)
        scope = Ball(wanted.ball) if wanted.ball else Everyone() if wanted.scope == "mesh" else None
        budget_us = None if wanted.budget_s is None else int(wanted.budget_s * SECOND)

        async def work(write: Write) -> None:
            async with self._mesh.find(
                query, scope, local_only=wanted.scope == "local", budget_us=budget_us
            ) as finding:
                async for progress in finding:
                    await write({"event": "progress", **plain(progress)})
                found = await finding.result()
            await write({"event": "found", "level": wanted.level.value, **found_shape(found)})

        return Lines(work)

    async def fetch(self, request: Request) -> Lines:
        wanted = await _body(request, Fetch)
        to = None if wanted.to is None else _absolute(wanted.to)
        if not wanted.study_uid or not wanted.study_uid.isascii() or " " in wanted.study_uid:
            raise LocalFault(
                f"{wanted.study_uid!r} is no Study Instance UID.",
                "Copy one that `meshpacs find` shows: digits and dots.",
            )

        async def work(write: Write) -> None:
            async with self._mesh.fetch(wanted.study_uid, to=to) as fetching:
                async for event in fetching:
                    if isinstance(event, FetchDone):
                        await write({"event": "fetched", **fetched_shape(event)})
                    else:
                        await write({"event": "progress", **plain(event)})

        return Lines(work)

    async def take_in(self, request: Request) -> Lines:
        wanted = await _body(request, Import)
        paths = [_absolute(path) for path in wanted.paths]

        async def work(write: Write) -> None:
            async with self._mesh.import_paths(paths) as importing:
                async for outcomes in importing:
                    await write(*({"event": "file", **plain(outcome)} for outcome in outcomes))
                await write({"event": "imported", **summary_shape(importing.summary)})

        return Lines(work)


async def _body(request: Request, wanted: type[Wanted]) -> Wanted:
    body = await read_body(request.receive)
    try:
        return msgspec.json.decode(body or b"{}", type=wanted)
    except msgspec.DecodeError as error:
        raise LocalFault(
            f"The request's body is not as it should be: {error}.", "docs/CLI.md shows it."
        ) from error


def _absolute(path: str) -> Path:
    found = Path(path)
    if not found.is_absolute():
        raise LocalFault(f"The path {path} is relative.", "The node needs absolute paths.")
    return found
