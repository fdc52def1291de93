"""What a fetch is for: a study, or some of its series or instances (PROTOCOL 9.3)."""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from meshpacs.model.content import Entry


@dataclass(frozen=True, slots=True)
class Selection:
    """A study, narrowed down or not."""

    study_uid: str
    series: frozenset[str] = frozenset()
    """Series Instance UIDs; empty: all."""
    instances: frozenset[str] = frozenset()
    """SOP Instance UIDs; empty: all."""

    @property
    def whole(self) -> bool:
        """Whether it is the whole study."""
        return not self.series and not self.instances

    @property
    def name(self) -> str:
        """Names the stage, so that the same fetch finds it again.

        Of what is wanted, not of the entries that are known: a study that has grown between a
        crash and the next attempt must not cost what was verified before.
        """
        text = "\n".join((self.study_uid, *sorted(self.series), "", *sorted(self.instances)))
        return f"fetch-{sha256(text.encode()).hexdigest()[:32]}"

    @property
    def stages(self) -> tuple[str, str]:
        """The names of its stages: for what is to be seen, and for what is kept aside."""
        return self.name, f"{self.name}-aside"

    def of(self, entries: Iterable[Entry]) -> tuple[Entry, ...]:
        """The entries that are wanted, in their order."""
        return tuple(
            entry
            for entry in entries
            if (not self.series or entry.series_uid in self.series)
            and (not self.instances or entry.sop_uid in self.instances)
        )
