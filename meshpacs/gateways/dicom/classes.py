"""What to propose to whoever is to send by C-GET.

One association has room for 127 storage contexts, and for each the sender picks one transfer
syntax. So an archive is asked which classes the studies are of, and these are proposed first, each
compressed syntax in a context of its own: then all comes as it is stored, as senders prefer to send
it. Uncompressed ones alone would have it decoded, and one instance would be two in the mesh.

Some archives do not say, or not all. Then every storage class of the standard is proposed
uncompressed, which most senders can do with most of what they have, and last what they count as
failed even so, compressed.
"""

from collections.abc import Iterator, Sequence

from meshpacs.dimse.services import is_storage
from meshpacs.dimse.syntaxes import LITTLE
from meshpacs.model.limits import PRESENTATION_CONTEXTS

Pairs = tuple[tuple[str, tuple[str, ...]], ...]

_BASE = "1.2.840.10008.5.1.4.1.1."

IMAGES = tuple(
    _BASE + end
    for end in (
        "2", "4", "1", "1.1", "1.2", "3.1", "6.1", "7", "12.1", "12.2", "20", "128", "2.1", "4.1",
        "130", "1.1.1", "1.2.1", "1.3", "13.1.3", "13.1.1", "7.1", "7.2", "7.3", "7.4", "77.1.1",
        "77.1.2", "77.1.4", "77.1.5.1", "77.1.6", "481.1", "77.1.1.1", "77.1.2.1", "77.1.4.1",
    )
)  # fmt: skip
"""Classes of images by how often they are met: CT, MR, CR, DX, MG, US, XA and so on (PS3.6 A-1). A
guess at the order, which only matters to how soon they come."""

BESIDE_IMAGES = tuple(
    _BASE + end
    for end in (
        "88.11", "88.22", "88.33", "88.34", "88.40", "88.50", "88.59", "88.65", "88.67", "88.68",
        "88.69", "11.1", "11.2", "11.3", "11.4", "11.5", "66", "66.1", "66.2", "66.3", "66.4",
        "66.5", "67", "104.1", "104.2", "104.3", "481.2", "481.3", "481.4", "481.5", "481.6",
        "481.7", "481.8", "481.9", "9.1.1", "9.1.2", "9.1.3", "9.2.1", "9.3.1", "9.4.1", "9.4.2",
        "4.2", "30", "12.1.1", "12.2.1",
    )
)  # fmt: skip
"""What lies in a study beside its images: reports, key objects, dose, presentation states, raw
data, registrations, segmentations, documents, radiotherapy, waveforms. Some senders end a C-GET at
the first instance that they have no context for (Orthanc 1.10: tried), so these are proposed
together with the images, before what is rare."""

COMPRESSED = tuple(
    f"1.2.840.10008.1.2.{end}"
    for end in ("4.90", "4.70", "4.80", "5", "4.57", "4.91", "4.50", "4.51", "4.81", "4.201",
                "4.202", "4.203", "4.100", "4.101", "4.102", "4.103")
)  # fmt: skip
"""JPEG 2000, JPEG lossless, JPEG-LS, RLE, then lossy ones, HTJ2K and MPEG (PS3.6 A-1)."""


def proposals(known: Sequence[str] = ()) -> Iterator[Pairs]:
    """One after the other, what an association for C-GET proposes beside C-GET.

    `known`: SOP classes of what is wanted.
    """
    room = PRESENTATION_CONTEXTS - 1
    wanted = [uid for uid in dict.fromkeys(known) if is_storage(uid)]
    # The plain ones come first so that they fit; a sender looks for what it has all the same.
    stored = _plain(wanted) + _compressed([uid for uid in wanted if uid in IMAGES])
    if stored:
        yield tuple(stored[:room])
    for pairs in (_plain(_storage_classes()), _compressed(IMAGES)):
        for at in range(0, len(pairs), room):
            yield tuple(pairs[at : at + room])


def _plain(classes: Sequence[str]) -> list[tuple[str, tuple[str, ...]]]:
    return [(uid, LITTLE) for uid in classes]


def _compressed(classes: Sequence[str]) -> list[tuple[str, tuple[str, ...]]]:
    return [(uid, (syntax,)) for syntax in COMPRESSED for uid in classes]


def _storage_classes() -> tuple[str, ...]:
    """Of the standard, those first that are met together."""
    from pydicom import uid as names

    known = [
        str(uid)
        for uid in vars(names).values()
        if isinstance(uid, names.UID) and is_storage(uid) and uid.type == "SOP Class"
    ]
    return tuple(dict.fromkeys((*IMAGES, *BESIDE_IMAGES, *known)))
