"""The admin API says what the node says, refuses what is wrong, and lets clients leave."""

from dataclasses import fields
from pathlib import Path

import pytest
import trio
from starlette.types import ASGIApp
from structlog.testing import capture_logs
from trio.testing import MockClock

from meshpacs.dimse.commitment import Report
from meshpacs.gateways import http
from meshpacs.gateways.http import admin_app
from meshpacs.model.attributes import Level
from meshpacs.model.commitment import Promise, Reference
from meshpacs.model.errors import Damaged, LocalFault, PeerFault, Unavailable
from meshpacs.model.limits import HTTP_BODY_BYTES
from meshpacs.model.member import Role
from meshpacs.model.query import Ball, Everyone, Query
from meshpacs.node.views import PeerView, StatusView
from tests.gateways.asking import TOKEN, ask
from tests.gateways.fake_mesh import NORD, STUDY, SUED, FakeMesh


def app_of(mesh: FakeMesh, host: str = "127.0.0.1") -> ASGIApp:
    return admin_app(mesh, token=TOKEN, host=host)


ONE, TWO = Reference("1.2", "1.2.1"), Reference("1.2", "1.2.2")
ANYWHERE = Path.cwd().anchor + "images"


async def test_status_and_peers_tell_every_field_of_their_views() -> None:
    status = await ask(app_of(FakeMesh()), "GET", "/v1/status")
    assert status.status == 200
    assert set(status.json) == {field.name for field in fields(StatusView)}
    assert status.json["level"] == "degraded"
    assert status.json["node"] == NORD.hex()
    peers = await ask(app_of(FakeMesh()), "GET", "/v1/peers")
    assert set(peers.json["peers"][0]) == {field.name for field in fields(PeerView)}
    counters = await ask(app_of(FakeMesh()), "GET", "/v1/counters")
    assert counters.json == {
        "counters": [
            {
                "purpose": "control", "message": "Ask", "messages_in": 3, "bytes_in": 900,
                "messages_out": 2, "bytes_out": 600,
            }
        ]
    }  # fmt: skip


async def test_trails_name_everybody_on_them_and_can_be_picked_by_the_start_of_an_id() -> None:
    nord, sued = {"node": NORD.hex(), "name": "Nord"}, {"node": SUED.hex(), "name": "Süd"}
    mesh = FakeMesh()
    reply = await ask(app_of(mesh), "GET", "/v1/trails?query=71")
    assert mesh.asked == [("trails", "71")]
    assert reply.json == {
        "trails": [
            {
                "query_id": "71" * 16, "origin": nord, "ball": False,
                "heard_us": 1_700_000_000_000_000,
                "passes": [
                    {"parent": None, "hops": 0, "ttl": 0, "children": [sued], "unreached": []}
                ],
            }
        ]
    }  # fmt: skip
    everything = await ask(app_of(mesh), "GET", "/v1/trails")
    assert [len(trail["passes"]) for trail in everything.json["trails"]] == [1, 2]
    assert everything.json["trails"][1]["passes"][1]["parent"] == sued
    assert everything.json["trails"][1]["passes"][1]["unreached"] == [nord]


async def test_a_found_answer_names_its_members_and_reads_its_attributes() -> None:
    mesh = FakeMesh()
    reply = await ask(
        app_of(mesh), "POST", "/v1/find", {"keys": ["PatientName=Yama*"], "scope": "mesh"}
    )
    assert [line["event"] for line in reply.lines] == ["progress", "progress", "found"]
    assert reply.whole
    found = reply.lines[-1]
    assert found["matches"][0]["attributes"]["PatientName"] == "Yamada^Tarou=山田^太郎"
    assert found["matches"][0]["holders"][1]["name"] == "Süd"
    assert found["report"]["members"][1]["name"] == "Süd"
    assert found["report"]["members"][1]["status"] == "unreachable"
    assert found["complete"] is False
    query = Query(Level.STUDY, ((0x0010_0010, ("Yama*",)),))
    assert mesh.asked == [("find", query, Everyone(), False, None)]


async def test_scope_ball_limit_and_budget_reach_the_mesh() -> None:
    mesh = FakeMesh()
    body = {"level": "SERIES", "ball": 3, "limit": 7, "budget_s": 1.5}
    await ask(app_of(mesh), "POST", "/v1/find", body)
    await ask(app_of(mesh), "POST", "/v1/find", {"scope": "local"})
    assert mesh.asked == [
        ("find", Query(Level.SERIES, limit=7), Ball(3), False, 1_500_000),
        ("find", Query(Level.STUDY), None, True, None),
    ]


@pytest.mark.parametrize(
    ("path", "body", "word"),
    [
        ("/v1/find", {"ball": 17}, "17"),
        ("/v1/find", {"ball": 0}, "0"),
        ("/v1/find", {"ball": 2, "scope": "mesh"}, "Both"),
        ("/v1/find", {"limit": 0}, "0 rows"),
        ("/v1/find", {"budget_s": 31}, "31"),
        ("/v1/find", {"keys": ["PatientNam=x"]}, "PatientNam"),
        ("/v1/find", {"level": "FRAME"}, "FRAME"),
        ("/v1/find", {"colour": 1}, "colour"),
        ("/v1/find", [], "object"),
        ("/v1/fetch", {}, "study_uid"),
        ("/v1/fetch", {"study_uid": STUDY, "to": "here"}, "relative"),
        ("/v1/fetch", {"study_uid": ""}, "''"),
        ("/v1/fetch", {"study_uid": "Meier Anna"}, "Study Instance UID"),
        ("/v1/import", {"paths": ["here"]}, "relative"),
        ("/v1/invite", {"role": "emperor"}, "emperor"),
        ("/v1/stop", {"hard": True}, "hard"),
    ],
)
async def test_a_body_that_is_wrong_is_refused_by_name(path: str, body: object, word: str) -> None:
    mesh = FakeMesh()
    reply = await ask(app_of(mesh), "POST", path, body)
    assert reply.status == 400
    assert word in reply.json["what"]
    assert reply.json["mend"]
    assert mesh.asked == []


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (LocalFault("a", "b"), 400),
        (PeerFault("a", "b"), 502),
        (Damaged("a", "b"), 500),
        (Unavailable("a", "b"), 503),
        (ExceptionGroup("", [ExceptionGroup("", [Unavailable("a", "b")])]), 503),
    ],
)
async def test_a_fault_says_who_must_act(fault: Exception, status: int) -> None:
    for method, path, body in (("GET", "/v1/status", None), ("POST", "/v1/find", {})):
        if isinstance(fault, ExceptionGroup) and method == "GET":
            continue
        reply = await ask(app_of(FakeMesh(fault=fault)), method, path, body)
        assert (reply.status, reply.json) == (status, {"what": "a", "mend": "b"})


async def test_a_fault_after_the_first_line_is_the_last_line() -> None:
    mesh = FakeMesh(late_fault=Unavailable("a", "b"))
    reply = await ask(app_of(mesh), "POST", "/v1/find", {})
    assert reply.lines[-1] == {"event": "error", "what": "a", "mend": "b"}
    assert reply.whole


async def test_our_own_mistake_is_logged_and_ends_one_request_only() -> None:
    app = app_of(FakeMesh(fault=ZeroDivisionError("x")))
    with capture_logs() as logs:
        for method, path in (("GET", "/v1/status"), ("POST", "/v1/find")):
            reply = await ask(app, method, path)
            assert reply.status == 500
            assert "fault of its own" in reply.json["what"]
    assert [entry["event"] for entry in logs] == ["request_failed"] * 2


async def test_our_own_mistake_in_the_middle_leaves_the_answer_visibly_cut() -> None:
    mesh = FakeMesh()
    mesh.late_fault = ZeroDivisionError("x")
    with capture_logs():
        reply = await ask(app_of(mesh), "POST", "/v1/find", {})
    assert reply.status == 200
    assert not reply.whole


async def test_a_client_that_leaves_stops_the_work() -> None:
    hang = trio.Event()
    mesh = FakeMesh(hang=hang)
    reply = await ask(app_of(mesh), "POST", "/v1/import", {"paths": [ANYWHERE]}, leave_when=hang)
    assert mesh.left.is_set()
    assert not reply.whole


async def test_an_import_tells_each_file_and_then_the_sum() -> None:
    reply = await ask(app_of(FakeMesh()), "POST", "/v1/import", {"paths": [ANYWHERE]})
    assert [line["event"] for line in reply.lines] == ["file", "file", "imported"]
    assert reply.lines[1]["reason"] == "It is truncated."
    assert reply.lines[2]["refused"] == 1


async def test_a_fetch_tells_who_gave_what() -> None:
    mesh = FakeMesh()
    reply = await ask(app_of(mesh), "POST", "/v1/fetch", {"study_uid": STUDY, "to": ANYWHERE})
    assert reply.lines[-1]["from_members"][0]["name"] == "Süd"
    assert "names" not in reply.lines[-1]
    assert mesh.asked == [("fetch", STUDY, Path(ANYWHERE))]


async def test_the_rest_of_the_api_reaches_the_mesh() -> None:
    mesh = FakeMesh()
    app = app_of(mesh)
    made = await ask(app, "POST", "/v1/invite", {"role": "relay", "expires_s": 60, "local": True})
    assert made.json["text"] == "meshpacs:abc"
    gone = await ask(app, "POST", "/v1/revoke", {"who": "Süd"})
    assert gone.json["name"] == "Süd"
    listed = await ask(app, "GET", "/v1/conflicts")
    assert listed.json["conflicts"][0]["origin"] == "import"
    shared = await ask(app, "GET", "/v1/destinations")
    assert shared.json["shared"] == [{"title": "FARAWAY", "node": SUED.hex(), "name": "Süd"}]
    checked = await ask(app, "POST", "/v1/destinations/check", {"title": "FARAWAY"})
    assert checked.json["name"] == "Süd"
    config = await ask(app, "POST", "/v1/config/reload")
    assert config.json["refused"] == "It is wrong."
    stop = await ask(app, "POST", "/v1/stop")
    assert stop.json == {"stopping": True}
    assert [entry[0] for entry in mesh.asked] == [  # type: ignore[index]
        "invite", "revoke", "conflicts", "shared", "check_shared", "reload", "stop",
    ]  # fmt: skip
    assert mesh.asked[0] == ("invite", Role.RELAY, 60, True)


# ---------------------------------------------------------------- the gate


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"authorization": ""}, 401),
        ({"authorization": "Bearer wrong"}, 401),
        ({"authorization": f"Bearer {TOKEN}x"}, 401),
        ({"authorization": "Bearer ÿ"}, 401),
        ({"host": ""}, 421),
        ({"host": "evil.example"}, 421),
        ({"host": "evil.example:7118"}, 421),
        ({"host": "127.0.0.1.evil.example"}, 421),
        ({"origin": "http://127.0.0.1:7118"}, 421),
        ({"content-length": str(HTTP_BODY_BYTES + 1)}, 413),
        ({"content-length": "many"}, 413),
    ],
)
async def test_the_gate_refuses_strangers_web_pages_and_floods(
    headers: dict[str, str], status: int
) -> None:
    mesh = FakeMesh()
    reply = await ask(app_of(mesh), "GET", "/v1/status", headers=headers)
    assert reply.status == status
    assert reply.json["what"]
    assert reply.json["mend"]
    assert mesh.asked == []


@pytest.mark.parametrize("host", ["localhost:1", "[::1]:7118", "192.0.2.1", "Node.Example:7118"])
async def test_addresses_and_the_name_listened_on_are_ours(host: str) -> None:
    reply = await ask(
        app_of(FakeMesh(), "node.example"), "GET", "/v1/status", headers={"host": host}
    )
    assert reply.status == 200


async def test_a_body_larger_than_it_says_is_refused() -> None:
    reply = await ask(app_of(FakeMesh()), "POST", "/v1/find", raw=b" " * (HTTP_BODY_BYTES + 1))
    assert reply.status == 400
    assert str(HTTP_BODY_BYTES) in reply.json["what"]


async def test_a_body_that_never_ends_is_not_waited_for(autojump_clock: MockClock) -> None:
    app = app_of(FakeMesh())
    got = []

    async def receive() -> dict[str, object]:
        await trio.sleep_forever()
        raise AssertionError

    async def send(message: object) -> None:
        await trio.lowlevel.checkpoint()
        got.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/v1/find", "query_string": b"",
        "headers": [(b"host", b"[::1]"), (b"authorization", f"Bearer {TOKEN}".encode())],
        "root_path": "",
    }  # fmt: skip
    await app(scope, receive, send)
    assert got[0]["status"] == 400  # type: ignore[index]


async def test_a_client_that_leaves_in_the_middle_of_its_body_is_no_fault_of_ours() -> None:
    gone = trio.Event()
    gone.set()

    async def receive() -> dict[str, object]:
        await trio.lowlevel.checkpoint()
        return {"type": "http.disconnect"}

    got = []

    async def send(message: object) -> None:
        await trio.lowlevel.checkpoint()
        got.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/v1/stop", "query_string": b"",
        "headers": [(b"host", b"[::1]"), (b"authorization", f"Bearer {TOKEN}".encode())],
        "root_path": "",
    }  # fmt: skip
    mesh = FakeMesh()
    await app_of(mesh)(scope, receive, send)
    assert mesh.asked == []


async def test_what_is_not_there_is_answered_in_the_same_form() -> None:
    for method, path, status in (("GET", "/", 404), ("POST", "/v1/status", 405)):
        reply = await ask(app_of(FakeMesh()), method, path)
        assert reply.status == status
        assert set(reply.json) == {"what", "mend"}


async def test_only_requests_and_the_lifespan_pass_the_gate() -> None:
    app = app_of(FakeMesh())

    async def receive() -> dict[str, object]:
        await trio.lowlevel.checkpoint()
        return {"type": said.pop(0)}

    got = []

    async def send(message: dict[str, object]) -> None:
        await trio.lowlevel.checkpoint()
        got.append(message["type"])

    said: list[object] = ["lifespan.startup", "lifespan.shutdown"]
    await app({"type": "websocket"}, receive, send)  # type: ignore[arg-type]
    assert got == []
    await app({"type": "lifespan", "state": {}}, receive, send)  # type: ignore[arg-type]
    assert got == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_delete_only_looks_unless_confirmed() -> None:
    mesh = FakeMesh()
    app = admin_app(mesh, token=TOKEN, host="127.0.0.1")
    looked = await ask(app, "POST", "/v1/delete", {"study_uid": "1.2"})
    assert (looked.status, looked.json["deleted"]) == (200, False)
    done = await ask(app, "POST", "/v1/delete", {"study_uid": "1.2", "confirmed": True})
    assert done.json["deleted"]
    assert done.json["copies"] == [{"node": SUED.hex(), "name": "Süd", "instances": 2}]
    assert done.json["unheard"] == [{"node": NORD.hex(), "name": "Nord"}]
    assert "names" not in done.json
    assert mesh.asked == [("delete", "1.2", False, False), ("delete", "1.2", False, True)]


async def test_commitment_is_asked_of_what_is_named_and_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[object] = []

    async def imagined(
        _: object, host: str, port: int, *words: object, wait_s: float, tls: object
    ) -> object:
        await trio.lowlevel.checkpoint()
        asked.append((host, port, *words, wait_s, tls))
        return "2.25.1", Report("2.25.1", (ONE,), ((TWO, 0x0112),))

    monkeypatch.setattr(http, "ask_commitment", imagined)
    mesh = FakeMesh()
    mesh.promises.promised[ONE] = Promise.COMMITTED
    body = {"title": "FAR", "host": "h", "port": 104, "calling": "NEAR", "wait_s": 3}
    more = {"study_uid": "1.2", "references": [["1.2", "1.2.2"], ["1.2", "1.2.1"]]}
    reply = await ask(app_of(mesh), "POST", "/v1/dicom/commit", {**body, **more})
    assert reply.json == {
        "title": "FAR",
        "transaction_uid": "2.25.1",
        "reported": True,
        "committed": 1,
        "failed": [{"sop_uid": "1.2.2", "reason": "0112"}],
    }
    assert asked == [("h", 104, "FAR", "NEAR", (TWO, ONE), 3.0, None)]
    # The last one: over TLS, by a node that has no key.
    for wrong in ({}, {**more, "wait_s": 0}, {**more, "wait_s": 10**6}, {**more, "tls": True}):
        reply = await ask(app_of(mesh), "POST", "/v1/dicom/commit", {**body, **wrong})
        assert reply.status == 400
