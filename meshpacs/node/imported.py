"""What became of files and of a whole import, as gateways and commands see it."""

from meshpacs.archive.ingest import Imported, Tally
from meshpacs.node.views import ImportOutcome, ImportSummary, Taken


def outcome_of(imported: Imported) -> ImportOutcome:
    """Of one file."""
    reason = f"{imported.what} {imported.mend}".strip()
    return ImportOutcome(imported.name, Taken(imported.taken.value), reason, imported.size_bytes)


def summary_of(tally: Tally, *, finished: bool) -> ImportSummary:
    """Of all so far."""
    return ImportSummary(
        seen=tally.seen,
        stored=tally.stored,
        unchanged=tally.unchanged,
        conflicts=tally.conflict,
        refused=tally.refused,
        skipped=tally.skipped,
        bytes=tally.bytes,
        finished=finished,
    )
