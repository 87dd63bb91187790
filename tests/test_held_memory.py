"""The account of the memory that calls hold."""

from hypothesis import given
from hypothesis import strategies as st
from wiremend.held_memory import MEASURED_EVERY_BYTES, HeldMemory, Part

LIMIT = 1000
STEPS = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from(Part), st.integers(0, 2 * LIMIT), st.booleans())
)


@given(STEPS)
def test_the_account_is_the_sum_of_its_calls_and_within_the_limit(
    steps: list[tuple[int, Part, int, bool]],
) -> None:
    account = HeldMemory(LIMIT)
    calls = [account.share() for _ in range(4)]
    expected: dict[tuple[int, Part], int] = {}
    ended: set[int] = set()
    for number, part, size, ends in steps:
        others = sum(expected.values()) - expected.get((number, part), 0)
        shrinks = size <= expected.get((number, part), 0)
        fits = number not in ended and (shrinks or others + size <= LIMIT)
        assert calls[number].hold(part, size) is fits
        if fits:
            expected[number, part] = size
        if ends:
            calls[number].release()
            ended.add(number)
            expected = {key: held for key, held in expected.items() if key[0] != number}
        assert account.held_bytes == sum(expected.values()) <= LIMIT
    for call in calls:
        call.release()
    assert account.held_bytes == 0


def test_no_limit_and_a_limit_that_was_lowered() -> None:
    account = HeldMemory(0)
    call = account.share()
    assert call.hold(Part.REQUEST, 10**12)
    account.limit_bytes = LIMIT
    assert not call.hold(Part.SHOWN, 1)
    assert call.hold(Part.REQUEST, 10**6), "less than before, although still too much"


def test_what_slow_peers_have_not_read_counts_too() -> None:
    unsent = 0
    account = HeldMemory(10 * MEASURED_EVERY_BYTES)
    account.measure_unsent = lambda: unsent
    call = account.share()
    assert call.hold(Part.RESPONSE, 6 * MEASURED_EVERY_BYTES)
    unsent = 6 * MEASURED_EVERY_BYTES
    call.release()  # the whole response was written, and its client does not read
    other = account.share()
    assert not other.hold(Part.RESPONSE, 6 * MEASURED_EVERY_BYTES)
    unsent = 0
    assert other.hold(Part.RESPONSE, 6 * MEASURED_EVERY_BYTES)
