"""A home with a node that is up: the real admin API in a thread, an imaginary mesh behind it."""

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trio
from click.testing import CliRunner, Result

from meshpacs.cli.main import meshpacs
from meshpacs.gateways.http import admin_app
from meshpacs.gateways.listen import serve_http
from meshpacs.node.config import Config
from meshpacs.node.home import Home
from meshpacs.node.template import default_toml
from tests.gateways.fake_mesh import FakeMesh


def make_home(folder: Path) -> Home:
    """As far as the commands look at it."""
    folder.mkdir(parents=True, exist_ok=True)
    home = Home(folder)
    home.keep_facts({"mesh": "00" * 32, "mesh_name": "Küste"})
    home.config.write_text(default_toml(Config("Nord")), encoding="utf-8")
    home.admin_token()
    return home


@dataclass
class Served:
    home: Home
    mesh: FakeMesh

    def run(self, *words: str, answer: str | None = None) -> Result:
        """One command in this home."""
        return run("--home", str(self.home.folder), *words, answer=answer)


def run(*words: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(meshpacs, list(words), input=answer, standalone_mode=False)


@contextmanager
def served(folder: Path, mesh: FakeMesh) -> Iterator[Served]:
    """Serve until the block ends; the token and address are where the commands look for them."""
    home = make_home(folder)
    bound: list[str] = []
    up = threading.Event()
    tokens: list[trio.lowlevel.TrioToken] = []
    stop = trio.Event()

    async def serve() -> None:
        tokens.append(trio.lowlevel.current_trio_token())
        app = admin_app(mesh, token=home.admin_token(), host="127.0.0.1")
        async with trio.open_nursery() as nursery:
            bound.append(await nursery.start(serve_http, app, "127.0.0.1:0", stop))
            up.set()

    thread = threading.Thread(target=trio.run, args=(serve,), daemon=True)
    thread.start()
    assert up.wait(30)
    home.running_file.write_text(json.dumps({"pid": os.getpid(), "http": bound[0]}))
    try:
        yield Served(home, mesh)
    finally:
        trio.from_thread.run_sync(stop.set, trio_token=tokens[0])
        thread.join(30)
        assert not thread.is_alive()
