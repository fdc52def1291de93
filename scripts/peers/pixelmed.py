"""PixelMed's Java toolkit behind Pixelmed.java."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from pydicom.datadict import keyword_for_tag, tag_for_keyword

from clinics.clinic import NotHere, free_ports
from peers.content import CLASSES, ROW, Row, by_uid, of_study
from peers.peer import Address, Files, Heard, Lacks, Node, Peer, installed, run, version_in
from peers.program import Program
from peers.worklist import KEYS, QUESTION, STEP_KEYS

HERE = Path(__file__).parent
JAR = Path("/usr/share/java/pixelmed.jar")
FIND = "1.2.840.10008.5.1.4.1.2.2.1"
OLD_TLS = "its TLS has TLS_RSA_WITH_AES_128_CBC_SHA and 3DES alone, which BCP 195 forbids"

WORKLIST = "1.2.840.10008.5.1.4.31"


class Pixelmed(Peer):
    """One process of Java's for both sides; it indexes what it holds in HSQLDB."""

    name, title = "pixelmed", "PIXELMED"
    package = "Debian, pixelmed-apps"
    compressed = frozenset({"store", "move", "receive"})
    notes = (
        (
            "Instances of one SOP class in several compressed transfer syntaxes have to be sent "
            "one association each: else it sends all of them in the context of one."
        ),
        "A C-GET that ends with a list of failed instances (B000) makes it abort.",
    )
    shows = "its log, at the finest level"

    def __init__(self, folder: Path, node: Node) -> None:
        """See Peer."""
        self._java = installed("java", "pixelmed-apps")
        installed("javac", "default-jdk-headless")
        if not JAR.exists():
            raise NotHere(f"{JAR} is not here; on Debian: apt-get install pixelmed-apps.")
        super().__init__(folder, node)
        self._stack = ExitStack()
        self._program: Program

    def version(self) -> str:
        """See Peer."""
        return version_in(run("dpkg-query", "-W", "-f", "${Version}", "libpixelmed-java"))

    def start(self) -> None:
        """See Peer."""
        (self.port,) = free_ports(1)
        words = self.folder, self.node.title, str(self.node.port), self.title, str(self.port)
        source = HERE / "Pixelmed.java"
        command = self._java, "-XX:TieredStopAtLevel=1", "-cp", JAR, source, *words
        self._program = Program(command, self.folder / "log")
        self._stack.callback(self._program.end)

    def end(self) -> None:
        """See Peer."""
        self._stack.close()

    def echo(self) -> None:
        """See Peer."""
        self._program.ask("echo")

    def echo_tls(self) -> None:
        """See Peer."""
        raise Lacks(OLD_TLS)

    @property
    def listens_tls(self) -> Address:
        """See Peer."""
        raise Lacks(OLD_TLS)

    def store(self, files: Sequence[Path]) -> None:
        """See Peer.

        Each on an association of its own: on one it has sent MR instances of several compressed
        transfer syntaxes all in the context of one of them.
        """
        for file in files:
            self._program.ask("store", file)

    def find(self, level: str, keys: Mapping[str, str], at: Address | None = None) -> Heard:
        """See Peer."""
        at = at or self.node
        log = self.folder / "log"
        logged = log.stat().st_size
        wanted = {"QueryRetrieveLevel": level} | dict.fromkeys(ROW[level], "") | dict(keys)
        answer = self._program.ask("find", at.title, at.port, FIND, *_words(wanted))
        said = log.read_bytes()[logged:].decode("utf-8", "replace")
        shown = [" ".join(line.split()) for line in said.splitlines() if "INCOMPLETE" in line]
        return Heard(_rows(answer["rows"], ROW[level]), "; ".join(shown))

    def worklist(self) -> list[Row]:
        """See Peer."""
        whole = {key: "" for key in KEYS if key not in STEP_KEYS}
        step = {key: QUESTION.get(key, "") for key in STEP_KEYS}
        words = *_words(whole), "/", *_words(step)
        answer = self._program.ask("find", self.node.title, self.node.port, WORKLIST, *words)
        return _rows(answer["rows"], KEYS)

    def get(self, study: str) -> Files:
        """See Peer."""
        folder = self.folder / f"got-{study}"
        folder.mkdir()
        self._program.ask("get", study, folder, *CLASSES)
        return by_uid(folder.iterdir())

    def move(self, study: str) -> Files:
        """See Peer."""
        self._program.ask("move", study)
        return self.received(study)

    def hold(self, files: Sequence[Path]) -> None:
        """See Peer."""
        self._program.ask("hold", *files)

    def received(self, study: str) -> Files:
        """See Peer."""
        return of_study(self.folder / "received", study)


def _words(keys: Mapping[str, str]) -> list[str]:
    return [f"{tag_for_keyword(key):08X}={value}" for key, value in keys.items()]


def _rows(answers: Sequence[Mapping[str, str]], keys: Sequence[str]) -> list[Row]:
    """Its rows have tags."""
    named = [{keyword_for_tag(int(tag, 16)): v for tag, v in row.items()} for row in answers]
    return [{k: "\\".join(sorted(row.get(k, "").split("\\"))) for k in keys} for row in named]
