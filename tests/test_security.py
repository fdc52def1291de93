"""Every attack that docs/SECURITY.md names has a defence and tests, and the tests are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "SECURITY.md").read_text(encoding="utf-8")
TABLE = [
    line.strip("|").split("|") for line in PAGE.splitlines() if re.search(r"`tests/\S+::", line)
]

ATTACKS = (
    "Replay", "Id poisoning", "Forged rows", "Forged Done", "TTL games", "Token reuse",
    "Boot rollback", "Roster fork", "A revoked member", "An invite used twice", "Slow loris",
    "10,000 half-open connections", "Flooding", "A malicious manifest", "A malicious leaf list",
    "Path traversal", "Theft of the token file",
)  # fmt: skip


def test_every_attack_that_was_thought_of_has_a_row() -> None:
    named = " ".join(attack for _, attack, _, _ in TABLE)
    assert not [attack for attack in ATTACKS if f"**{attack}" not in named]


@pytest.mark.parametrize("row", TABLE, ids=[row[1].strip(" *")[:30] for row in TABLE])
def test_every_test_that_is_named_exists(row: list[str]) -> None:
    who, attack, defence, tests = row
    assert who.strip()
    assert "**" in attack
    assert defence.strip()
    named = re.findall(r"`([^`:]+)::([a-z0-9_]+)`", tests)
    assert len(named) == tests.count("`tests/")
    for file, test in named:
        source = (ROOT / file).read_text(encoding="utf-8")
        assert re.search(rf"^(async )?def {test}\(", source, re.MULTILINE), f"{file}::{test}"


def test_the_page_names_no_other_test_that_is_gone() -> None:
    everywhere = "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")
    )
    for test in re.findall(r"\btest_[a-z0-9_]+\b(?!\.py)", PAGE):
        assert f"def {test}(" in everywhere, test
    for file in re.findall(r"`(tests/[a-z0-9_/]+\.py)`", PAGE):
        assert (ROOT / file).exists(), file
