"""Modality worklist: identifiers as keys, and scheduled steps as rows (PS3.4 annex K).

The information model has one level. What is a key, and with which VR, the caller's lexicon says:
the whole dictionary of the standard, which this room does not have.
"""

from dataclasses import dataclass

from meshpacs.dimse.elements import DataSet, write_data_set
from meshpacs.dimse.faults import IdentifierMismatch
from meshpacs.dimse.identifiers import ANSWERED, check_forms
from meshpacs.model.attributes import Level, Lexicon, Record
from meshpacs.model.query import Query, beyond_limits

STEPS = 0x0040_0100
"""Scheduled Procedure Step Sequence; a row has one item of it (PS3.4 K.6.1.1)."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A worklist identifier, understood."""

    keys: Record
    ignored: tuple[int, ...]
    """Keys that have a value and that nothing is known of: status FF01."""
    terms: tuple[str, ...]
    """The requestor's Specific Character Set."""


def read_wanted(found: DataSet, lexicon: Lexicon) -> Wanted:
    """What an identifier asks for.

    Raises:
        IdentifierMismatch: the error names the tag.
    """
    keys = {tag: value for tag, value in found.record.items() if tag not in ANSWERED}
    for tag, value in keys.items():
        check_forms(tag, value, lexicon)
    excess = beyond_limits(Query(Level.PATIENT, tuple(keys.items())))
    if excess:
        raise IdentifierMismatch(f"The identifier has {excess}.")
    unmatched = sorted(tag for tag, filled in found.unknown.items() if filled)
    return Wanted(keys, tuple(unmatched), found.terms)


def write_step(wanted: Wanted, step: Record, lexicon: Lexicon, *, explicit: bool) -> bytes:
    """The identifier of one match: what was asked for, with or without a value (K.4.1.1.3.2)."""

    def vr_of(tag: int) -> str:
        known = lexicon(tag)
        return known.vr if known else ""

    row = _shown(wanted.keys, step)
    return write_data_set(row, explicit=explicit, terms=wanted.terms, known=vr_of)


def _shown(keys: Record, record: Record) -> Record:
    row: Record = {}
    for tag, value in keys.items():
        found = record.get(tag, ())
        asked = next((item for item in value if not isinstance(item, str)), None)
        if asked:  # else a value, or a whole sequence: asked for without naming what of it
            found = tuple(_shown(asked, item) for item in found if not isinstance(item, str))
        row[tag] = found
    return row
