"""What is left of a home after a power cut, held against what its node had acknowledged."""

from dataclasses import dataclass, field
from pathlib import Path

from campaigns.campaign import Outcome
from campaigns.promises import Promises, Roots
from meshpacs.archive.archive import Archive
from meshpacs.model.content import leaf_count
from meshpacs.model.errors import Damaged, MeshError
from meshpacs.node.config import parse_config
from meshpacs.node.founding import Belongings, read_belongings
from meshpacs.node.home import Home


@dataclass(slots=True)
class Kept:
    """What a node has acknowledged up to a moment."""

    node: str = ""
    """Its id; empty if nobody was told that there is a node."""
    boot: int = 0
    members: set[str] = field(default_factory=set)
    revoked: set[str] = field(default_factory=set)
    doubtful: set[str] = field(default_factory=set)
    """Members that somebody began to revoke."""
    instances: dict[str, dict[str, str]] = field(default_factory=dict)
    offered: dict[str, Roots] = field(default_factory=dict)
    partial: set[str] = field(default_factory=set)

    def copy(self) -> "Kept":
        """Another, which changes by itself. What was offered is the same for both."""
        return Kept(
            self.node, self.boot, set(self.members), set(self.revoked), self.doubtful,
            {uid: dict(roots) for uid, roots in self.instances.items()}, self.offered,
            self.partial,
        )  # fmt: skip

    def reach(self, boot: int) -> None:
        """It has said that it is up."""
        self.boot = boot

    def hold(self, study_uid: str, instances: Roots) -> None:
        """It has said that it keeps these."""
        self.instances.setdefault(study_uid, {}).update(instances)

    def admit(self, node: str) -> None:
        """It has let this one in."""
        self.members.add(node)

    def revoke(self, node: str) -> None:
        """It has taken a membership."""
        self.members.discard(node)
        self.revoked.add(node)


class Examination:
    """Of one disk. It is changed as a start would change it."""

    def __init__(self, outcome: Outcome, words: str) -> None:
        """`words` say which disk."""
        self._outcome, self._words = outcome, words

    def _hold(self, true: object, what: str) -> None:
        self._outcome.hold(true, f"{what} ({self._words})")

    def look(self, disk: Path, kept: Kept) -> None:
        """Open what is there, as a start would."""
        home = Home(disk / "home")
        if not home.made:
            self._hold(not kept.node, "there was a node, and its home is gone")
            return
        try:
            belongings = read_belongings(home)
            with home.lock():
                self._look_at_home(home, belongings, kept)
                with Archive.open(home.archive) as archive:
                    self._look_at_archive(archive, kept)
                with Archive.open(home.archive) as archive:
                    self._hold(not archive.repaired.sentences, "mended twice")
        except MeshError as fault:
            self._hold(False, f"{fault.what}")

    def _look_at_home(self, home: Home, belongings: Belongings, kept: Kept) -> None:
        if belongings.torn:
            self._outcome.counts["roster's log: torn tail cut off"] += 1
        node = belongings.identity.node.hex()
        self._hold(not kept.node or node == kept.node, f"it was {kept.node} and is {node}")
        standing = belongings.roster.standing
        members = {member.hex() for member in belongings.roster.members()}
        revoked = {member.hex() for member in standing.revoked}
        lost = kept.members - members - kept.doubtful
        self._hold(not lost, f"forgot the members {sorted(lost)}")
        self._hold(kept.revoked <= revoked, f"forgot to have revoked {kept.revoked - revoked}")
        self._hold(not standing.suspended, "suspended somebody")
        parse_config(home.config.read_text("utf-8"), str(home.config))
        self._hold(len(home.admin_token()) > 20, "the admin's token is torn")
        boot = home.next_boot(0)
        self._hold(boot > kept.boot, f"boot {boot} after {kept.boot}")

    def _look_at_archive(self, archive: Archive, kept: Kept) -> None:
        for sentence in archive.repaired.sentences:
            kind = " ".join(word for word in sentence.split() if not word.isdigit())
            self._outcome.counts[f"start said: {kind}"] += 1
        promises = Promises(kept.instances, kept.offered, kept.partial)
        try:
            promises.check(archive, self._outcome, self._words)
        except Damaged as fault:
            self._hold(False, f"promised and damaged: {fault.what}")
        for study_uid in kept.offered:
            for entry in archive.study_entries(study_uid):
                try:
                    for index in range(leaf_count(entry.size_bytes)):
                        archive.read_leaf(entry.root, index, entry.transfer_syntax)
                except Damaged:
                    self._outcome.counts["damage found at reading"] += 1
