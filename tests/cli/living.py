"""Nodes as processes of their own, as a person starts them."""

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from meshpacs.cli.main import run

READY_S = 30
END_S = 15

ANYWHERE = (
    "--mesh-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--dicom-port", "0",
)  # fmt: skip


@dataclass
class Run:
    """How one command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def meshpacs(home: Path, *words: str) -> Run:
    """One command, to its end; in this process but for `up`, which is a process's life."""
    line = ["--home", str(home), *words]
    if words[0] == "up":
        done = subprocess.run(
            [sys.executable, "-m", "meshpacs.cli", *line],
            capture_output=True,
            encoding="utf-8",
            check=False,
            timeout=60,
        )
        return Run(done.returncode, done.stdout, done.stderr)
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(line)
    return Run(code, out.getvalue(), err.getvalue())


@dataclass
class Live:
    """One node that is up."""

    home: Path
    process: subprocess.Popen[str]
    ready: dict[str, Any] = field(default_factory=dict)

    @property
    def log(self) -> str:
        return (self.home / "log").read_text(encoding="utf-8")

    def end(self) -> int:
        """Its exit code, once it has ended by itself."""
        code = self.process.wait(END_S)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@contextmanager
def up(home: Path, *words: str) -> Iterator[Live]:
    """`meshpacs up`; whatever a test does, the process is gone afterwards."""
    with (home / "log").open("a", encoding="utf-8") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "meshpacs.cli", "--home", str(home), "up", *words],
            stdout=subprocess.PIPE,
            stderr=log,
            encoding="utf-8",
            env={**os.environ, "NOTIFY_SOCKET": ""},
        )
    live = Live(home, process)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("ready "), live.log
        live.ready = json.loads(line.removeprefix("ready "))
        yield live
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
