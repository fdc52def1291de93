"""Arrivals that are kept together: one wait for the disk, one commit."""

from collections.abc import Sequence

from meshpacs.archive.arrival import Arrival, Stores
from meshpacs.archive.filing import Candidate, Verdict, file_candidate
from meshpacs.model.errors import Unavailable

Durable = tuple[Arrival, Candidate]
"""Whose bytes the disk holds, under a name that is not yet its own."""


def commit_together(stores: Stores, arrivals: Sequence[Arrival]) -> list[Verdict | Unavailable]:
    """Make finished arrivals durable and visible in one transaction; what became of each.

    The disk has begun with each when it was finished, so that the waits for several are hardly
    longer than for one. Where it is full or failing, that is returned for those it does not keep.

    Raises:
        MeshError: the index is damaged, or closed; what was kept before that is durable.
    """
    found: list[Verdict | Unavailable | None] = []
    durable: list[Durable] = []
    for arrival in arrivals:
        try:
            durable.append((arrival, arrival.make_durable()))
            found.append(None)
        except Unavailable as fault:
            found.append(fault.with_traceback(None))  # which holds them all
    try:
        verdicts = _file_all(stores, durable)
    except Unavailable:
        # The disk may have room for some: one at a time, as if each had come alone.
        verdicts = [_file_alone(stores, one) for one in durable]
    kept = iter(verdicts)
    return [next(kept) if one is None else one for one in found]


def _file_all(stores: Stores, durable: Sequence[Durable]) -> list[Verdict | Unavailable]:
    if not durable:
        return []
    verdicts = stores.index.write(
        lambda tx: [file_candidate(tx, stores.blobs, candidate) for _, candidate in durable]
    )
    for arrival, _ in durable:
        arrival.give_away()
    return list(verdicts)


def _file_alone(stores: Stores, one: Durable) -> Verdict | Unavailable:
    try:
        (verdict,) = _file_all(stores, [one])
    except Unavailable as fault:
        return fault.with_traceback(None)
    return verdict
