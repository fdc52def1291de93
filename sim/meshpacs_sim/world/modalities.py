"""What studies are made of, by modality: how many instances, and how large each is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Modality:
    """One kind of study. Sizes are of pixels that are not compressed."""

    code: str
    """As DICOM has it (PS3.3 C.7.3.1.1.1)."""
    per_mille: int
    """Of all studies of a general clinic."""
    instances: int
    """Half of all studies have no more."""
    spread_percent: int
    """How unlike each other they are: the sigma of a lognormal distribution, in hundredths."""
    instance_bytes: int
    """Of one instance."""


MODALITIES = (
    Modality("DX", 420, 2, 40, 10_000_000),
    Modality("US", 220, 30, 60, 600_000),
    Modality("CT", 160, 350, 90, 525_000),
    Modality("MR", 100, 250, 60, 205_000),
    Modality("MG", 50, 4, 10, 27_000_000),
    Modality("XA", 30, 15, 60, 16_000_000),
    Modality("NM", 12, 4, 50, 500_000),
    Modality("PT", 8, 600, 50, 60_000),
)
"""A general clinic's. Guesses, all but what follows from matrices: CT 512 x 512 of 16 bits, MR
320 x 320 of 16 bits, DX about 2,500 x 2,000 of 16 bits, MG about 3,300 x 4,100 of 16 bits."""

CODES = {modality.code: number for number, modality in enumerate(MODALITIES)}
"""Their numbers in the table."""
