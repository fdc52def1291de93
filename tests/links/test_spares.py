"""Memory that is used again, and never while somebody looks at it."""

from meshpacs.links.spares import GRAIN_BYTES, Spares

LARGE = 4 * GRAIN_BYTES


def test_what_is_viewed_is_not_lent_again_not_even_if_a_part_of_it_is() -> None:
    spares = Spares(kept_bytes=4 * LARGE)
    first = spares.lend(LARGE)
    first[:] = b"1" * LARGE
    part, buffer = first[7:9], first.obj
    del first
    second = spares.lend(LARGE)
    second[:] = b"2" * LARGE
    assert bytes(part) == b"11"
    part.release()
    again = spares.lend(LARGE - 5)
    assert again.obj is buffer
    assert len(again) == LARGE - 5
    assert bytes(second[:2]) == b"22"


def test_sizes_that_are_nearly_the_same_share_and_small_ones_waste_no_large_buffer() -> None:
    spares = Spares(kept_bytes=4 * LARGE)
    buffer = spares.lend(LARGE).obj
    assert spares.lend(LARGE + 1).obj is not buffer
    assert spares.lend(LARGE // 2 - 1).obj is not buffer
    assert spares.lend(LARGE // 2).obj is buffer


def test_no_more_is_kept_than_is_allowed_and_what_is_lent_stays() -> None:
    spares = Spares(kept_bytes=2 * LARGE)
    lent = [spares.lend(LARGE) for _ in range(5)]
    for number, view in enumerate(lent):
        view[:1] = bytes((number,))
    assert [view[0] for view in lent] == [0, 1, 2, 3, 4]
    last_two = [view.obj for view in lent[3:]]
    lent.clear()
    del view
    lent += [spares.lend(LARGE) for _ in range(3)]
    assert [view.obj is kept for view, kept in zip(lent, last_two, strict=False)] == [True, True]
    assert lent[2].obj not in last_two
    spares.clear()
    lent.pop()
    assert spares.lend(LARGE).obj not in last_two
    assert len(lent[0]) == LARGE


def test_what_is_small_takes_no_more_memory_than_it_needs_and_pushes_out_nothing_large() -> None:
    # A study of 2,000 structured reports of 2 kB each: whoever gives it lends 256 at a time.
    spares = Spares(kept_bytes=2 * LARGE)
    large = spares.lend(LARGE).obj
    small = [spares.lend(2_000) for _ in range(256)]
    assert sum(memoryview(view.obj).nbytes for view in small) == 256 * 2_000
    assert spares.lend(LARGE).obj is large
    shared = spares.lend(GRAIN_BYTES // 2).obj
    assert spares.lend(GRAIN_BYTES).obj is shared
