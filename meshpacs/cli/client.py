"""Talks to the node that is up in a home, over its admin API."""

import http.client
import json
import socket
import time
from collections.abc import Generator
from contextlib import closing
from typing import Any

from meshpacs.model.address import parse_address
from meshpacs.model.errors import LocalFault, Unavailable
from meshpacs.node.home import Home

Json = dict[str, Any]

ANSWER_S = 15.0
"""Seconds until a node that says nothing is taken for stuck. A guess."""

FIND_S = 45.0
"""The same for a query, which may take 30 s at its origin (PROTOCOL 4.4)."""

START_S = 5.0
"""Seconds that a node which has its home, but does not serve yet, is given. A guess."""

LOOK_S = 0.05

LINE_BYTES = 256 * 1024 * 1024
"""One line of a stream: an answer of many rows. A guess."""


class Client:
    """The commands' side of the admin API."""

    def __init__(self, home: Home) -> None:
        """Find the node that is up.

        Raises:
            LocalFault: there is no node in this home, or none is up.
        """
        home.require_made()
        running = home.running()
        until = time.monotonic() + START_S
        while running is not None and "http" not in running and time.monotonic() < until:
            time.sleep(LOOK_S)  # it is starting: `up &` and the next command in one breath
            running = home.running()
        if running is None:
            raise _not_up(home)
        if "http" not in running:
            raise LocalFault(
                f"Process {running.get('pid')} holds the home {home.folder} and does not serve.",
                "Wait until it has started, or has finished what it does.",
            )
        self._home = home
        self._host, self._port = parse_address(str(running["http"]))
        self._token = home.admin_token()

    def get(self, path: str) -> Json:
        """One document."""
        return self._document("GET", path, None, ANSWER_S)

    def post(
        self, path: str, body: Json | None = None, *, answer_s: float | None = ANSWER_S
    ) -> Json:
        """Do something, and get one document."""
        return self._document("POST", path, body or {}, answer_s)

    def lines(
        self, path: str, body: Json, *, answer_s: float | None = None
    ) -> Generator[Json, None, None]:
        """Do something that takes long: its events as they come.

        Raises:
            Unavailable: the node stopped before the end; what came until then is not the answer.
        """
        with closing(self._ask("POST", path, body, answer_s)) as connection:
            response = self._response(connection)
            last = False
            while True:
                try:
                    line = response.readline(LINE_BYTES)
                except (OSError, http.client.HTTPException) as error:
                    raise self._cut_short(error) from error
                if not line:
                    break
                event = json.loads(line)
                if event["event"] == "error":
                    raise Unavailable(event["what"], event["mend"])
                last = event["event"] in ENDS
                yield event
            if not last:
                raise self._cut_short(None)

    def _document(self, method: str, path: str, body: Json | None, answer_s: float | None) -> Json:
        with closing(self._ask(method, path, body, answer_s)) as connection:
            try:
                document = json.loads(self._response(connection).read())
            except (OSError, http.client.HTTPException) as error:
                raise self._cut_short(error) from error
        assert isinstance(document, dict)
        return document

    def _ask(
        self, method: str, path: str, body: Json | None, answer_s: float | None
    ) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=ANSWER_S)
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        try:
            connection.connect()
            assert connection.sock is not None
            connection.sock.settimeout(answer_s)
            content = None if body is None else json.dumps(body).encode()
            connection.request(method, path, content, headers)
        except OSError as error:
            connection.close()
            if isinstance(error, ConnectionRefusedError):
                raise _not_up(self._home) from error
            raise self._cut_short(error) from error
        return connection

    def _response(self, connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
        try:
            response = connection.getresponse()
            if response.status == 200:
                return response
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise self._cut_short(error) from error
        try:
            fault = json.loads(content)
            what, mend = str(fault["what"]), str(fault["mend"])
        except (ValueError, KeyError, TypeError):
            what = f"Something at {self._host}:{self._port} answered with status {response.status}."
            mend = "Is another program listening there?"
        kind = Unavailable if response.status == 503 else LocalFault
        raise kind(what, mend)

    def _cut_short(self, error: Exception | None) -> Unavailable:
        if isinstance(error, socket.timeout):
            return Unavailable(
                "The node is up, but does not answer.",
                "Its log may say why; `meshpacs down` and `meshpacs up` start it anew.",
            )
        return Unavailable(
            "The node stopped before the answer was whole.", "Nothing of it can be relied on."
        )


ENDS = frozenset({"found", "fetched", "imported"})
"""The events that end a stream; one that ends otherwise was cut short."""


def _not_up(home: Home) -> LocalFault:
    return LocalFault(f"No node is up in {home.folder}.", "Start it with `meshpacs up`.")
