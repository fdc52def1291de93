"""Folding of names: what two writings of one name have in common."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshpacs.model.names import NameKey, fold_groups, fold_name, fold_text

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Müller^Hans", "muller^hans"),
        (" Müller ^ Hans ^^^", "muller^hans"),
        ("SMITH  JONES^Ann\0", "smith jones^ann"),
        ("Straße", "strasse"),
        ("Ærø^Þór", "aero^thor"),
        ("İstanbul", "istanbul"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "yamada^tarou=山田^太郎=やまだ^たろう"),
        ("=山田==", "=山田"),
        ("ｶﾞﾝﾀﾞﾑ", "ガンダム"),
        ("a=b=c=d", "a=b=c"),
        ("Jean＝Paul≠", "jean paul"),
        ("^^=^", ""),
        ("", ""),
    ],
)
def test_a_name_folds_to(text: str, folded: str) -> None:
    assert fold_name(text) == folded


@settings(max_examples=500, deadline=None)
@given(texts)
def test_folding_again_changes_nothing(text: str) -> None:
    once = fold_name(text)
    assert fold_name(once) == once
    assert fold_text(fold_text(text)) == fold_text(text)


@settings(max_examples=300, deadline=None)
@given(texts)
def test_case_does_not_count(text: str) -> None:
    if text.isascii():
        assert fold_name(text.upper()) == fold_name(text.lower())


@settings(max_examples=300, deadline=None)
@given(texts)
def test_a_name_is_found_by_itself_and_by_its_folded_form(text: str) -> None:
    assert "*" in text or NameKey(text).matches(text)
    folded = fold_name(text)
    if not {"*", "?"} & set(folded):
        assert NameKey(folded).matches(text)


def test_groups_keep_their_places() -> None:
    assert fold_groups("=山田") == ("", "山田")
    assert fold_groups("A=") == ("a",)
    assert fold_groups("==c") == ("", "", "c")
