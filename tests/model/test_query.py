"""How much a query may hold."""

from meshpacs.model.attributes import Level, Value
from meshpacs.model.limits import QUERY_KEYS, VALUE_CHARACTERS, VALUES_PER_KEY
from meshpacs.model.query import Query, beyond_limits


def excess(*values: Value, returns: int = 0) -> str:
    keys = tuple(enumerate(values))
    return beyond_limits(Query(Level.STUDY, keys, tuple(range(returns))))


def test_a_query_within_the_limits_has_nothing_in_excess() -> None:
    item: Value = ({1: ("x",)},)
    assert excess(("1.2",) * VALUES_PER_KEY, ("x" * VALUE_CHARACTERS,), item) == ""


def test_keys_are_counted_at_all_depths() -> None:
    assert excess((), returns=QUERY_KEYS - 1) == ""
    assert "keys" in excess((), returns=QUERY_KEYS)
    item: Value = (dict.fromkeys(range(QUERY_KEYS), ()),)
    assert "keys" in excess(item)


def test_values_have_a_number_and_a_length() -> None:
    assert "values" in excess(("1",) * (VALUES_PER_KEY + 1))
    assert "characters" in excess(({1: ("x" * (VALUE_CHARACTERS + 1),)},))
