from datetime import timedelta

import pytest

from arvo_time import Backoff, RetryPolicy

SECOND = timedelta(seconds=1)
STEADY = Backoff(initial=SECOND, maximum=60 * SECOND, jitter=False)


def test_a_pause_that_is_asked_for_replaces_the_delay_of_the_backoff() -> None:
    policy = RetryPolicy(retries=2, backoff=STEADY)
    pauses = [policy.pause_after(1, asked=asked) for asked in (None, 90 * SECOND)]
    assert pauses == [SECOND, 90 * SECOND]


@pytest.mark.parametrize("asked", [None, 90 * SECOND])
def test_retries_are_counted_whatever_the_pause(asked: timedelta | None) -> None:
    policy = RetryPolicy(retries=2, backoff=STEADY)
    assert [policy.pause_after(tried, asked=asked) is None for tried in (1, 2, 3)] == [
        *(False, False, True)
    ]
