"""Titles of application entities, as DICOM machines name each other."""

TITLE_RULE = "It has 1 to 16 characters of ASCII, no backslash and no spaces at its ends."


def is_ae_title(text: str) -> bool:
    """Whether it can be an application entity's title (PS3.5 6.2, VR AE)."""
    plain = text.isascii() and text.isprintable() and text == text.strip()
    return plain and "\\" not in text and 1 <= len(text) <= 16
