"""Names of persons: how they are folded, cut into groups, and matched (PS3.5 6.2.1, PS3.4 C.2.2.2).

PS3.4 leaves it to us how far case, position and accents count in a PN. Here they do not: a person
at the desk types what they heard. Accents are folded for the scripts in which they are accents
(Latin, Greek, Cyrillic); the voicing marks of kana make other letters and are kept. Letters that
Unicode does not take apart are folded by a table, so that "Soren" finds "Søren".
"""

import re
import unicodedata
from functools import lru_cache

GROUPS = 3
"""Alphabetic, ideographic, phonetic (PS3.5 6.2.1.1)."""

_ACCENTS = re.compile("[\u0300-\u036f]")
"""Combining Diacritical Marks; not U+3099 and U+309A, which tell か from が."""

_LETTERS = str.maketrans(
    {
        "ø": "o",
        "ł": "l",
        "đ": "d",
        "ð": "d",
        "ħ": "h",
        "ı": "i",
        "þ": "th",
        "æ": "ae",
        "œ": "oe",
        "’": "'",
        "‘": "'",
        "ʼ": "'",
        "‐": "-",
        "‑": "-",
        "–": "-",
    }
)


def fold_text(text: str) -> str:
    """Text without case, width and accents: what is compared in a name.

    Never longer than a few times the text, and folding twice changes nothing.
    """
    if text.isascii():
        return text.lower()
    apart = unicodedata.normalize("NFKD", text).casefold()
    bare = _ACCENTS.sub("", unicodedata.normalize("NFKD", apart))
    return unicodedata.normalize("NFC", bare.translate(_LETTERS))


def fold_name(text: str) -> str:
    """A PN value folded for comparison: groups by `=`, components by `^`, in their places.

    Spaces around components do not count, nor do more than one between words, nor do empty
    components and groups at the end (PS3.5 6.2.1.1 lets writers leave them out or not).
    """
    return "=".join(fold_groups(text))


@lru_cache(maxsize=4096)
def fold_groups(text: str) -> tuple[str, ...]:
    """A PN value's groups, folded: at most three, the empty ones at the end left out."""
    groups = [
        "^".join(map(_fold_component, group.split("^"))).rstrip("^")
        for group in text.split("=")[:GROUPS]
    ]
    while groups and not groups[-1]:
        groups.pop()
    return tuple(groups)


def _fold_component(text: str) -> str:
    folded = fold_text(text.replace("\0", " "))
    if not text.isascii():
        # Wide and crossed-out signs fold to delimiters, which they are not: ジャン＝ポール.
        folded = folded.replace("=", " ").replace("^", " ")
    return " ".join(folded.split())


class NameKey:
    """A PN key, made ready once for many values.

    A key of one group is looked for in every group of a value, since who asks cannot know in
    which script a name was entered. A key of several groups is compared group by group, and an
    empty group, or one of `*` alone, matches all.
    """

    def __init__(self, text: str) -> None:
        """Fold the key and make its wild cards patterns."""
        groups = fold_groups(text)
        self._anywhere = "=" not in text
        self._patterns = tuple(None if not g.strip("*") else wild_card(g) for g in groups)
        # Some letters fold to two ("ß" to "ss"), which `?` would then count as two. So a key with
        # `?` is also compared without folding more than case.
        self._exact = wild_card(text.lower()) if "?" in text and self._anywhere else None

    def matches(self, value: str) -> bool:
        """Whether a stored PN value, as it was stored, is one of those asked for."""
        groups = fold_groups(value)
        if not self._anywhere:
            padded = groups + ("",) * (GROUPS - len(groups))
            return all(
                pattern is None or pattern.fullmatch(group) is not None
                for pattern, group in zip(self._patterns, padded, strict=False)
            )
        pattern = self._patterns[0] if self._patterns else None
        if pattern is None or any(pattern.fullmatch(group) for group in groups):
            return True
        return self._exact is not None and any(
            self._exact.fullmatch(group.rstrip("^ ")) for group in value.lower().split("=")
        )


@lru_cache(maxsize=1024)
def wild_card(text: str) -> re.Pattern[str]:
    """A pattern for `*` (any characters, or none) and `?` (exactly one). PS3.4 C.2.2.2.4."""
    # Atomic groups: each `*` stops at the first place where the next text fits, and is never
    # tried again. That finds a match whenever there is one, in time proportional to key times
    # value; plain `.*` would take exponential time on "*a*a*a*a*".
    head, *rest = re.split(r"\*+", text)
    if not rest:
        return re.compile(_literal(head), re.DOTALL)
    *middle, tail = rest
    body = "".join(f"(?>.*?{_literal(part)})" for part in middle if part)
    return re.compile(f"{_literal(head)}{body}.*{_literal(tail)}", re.DOTALL)


def _literal(text: str) -> str:
    return "".join("." if c == "?" else re.escape(c) for c in text)
