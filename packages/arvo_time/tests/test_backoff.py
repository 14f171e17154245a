from datetime import timedelta
from itertools import islice
from random import Random

import pytest

from arvo_time import Backoff

SECOND = timedelta(seconds=1)


def test_delays_grow_up_to_the_maximum() -> None:
    backoff = Backoff(initial=SECOND, maximum=5 * SECOND, factor=2, jitter=False)
    assert [*islice(backoff.delays(), 4)] == [SECOND, 2 * SECOND, 4 * SECOND, 5 * SECOND]


def test_jitter_draws_from_zero_to_the_delay() -> None:
    backoff = Backoff(initial=SECOND, maximum=SECOND)
    drawn = [*islice(backoff.delays(random=Random(7)), 1_000)]
    assert timedelta(0) <= min(drawn) < 0.01 * SECOND
    assert 0.99 * SECOND < max(drawn) <= SECOND


def test_the_same_seed_draws_the_same_delays() -> None:
    backoff = Backoff(initial=SECOND, maximum=60 * SECOND)
    first, second = (islice(backoff.delays(random=Random(7)), 9) for _ in range(2))
    assert [*first] == [*second]


def test_the_ten_thousandth_delay_is_still_the_maximum() -> None:
    backoff = Backoff(initial=SECOND, maximum=60 * SECOND, jitter=False)
    assert backoff.delay(10_000) == 60 * SECOND


@pytest.mark.parametrize(
    ("initial", "maximum", "factor"),
    [
        pytest.param(-SECOND, SECOND, 2, id="negative"),
        pytest.param(2 * SECOND, SECOND, 2, id="maximum-below-initial"),
        pytest.param(SECOND, SECOND, 0.5, id="shrinking"),
        pytest.param(SECOND, SECOND, float("nan"), id="not-a-number"),
    ],
)
def test_a_backoff_that_makes_no_sense_is_refused(
    initial: timedelta, maximum: timedelta, factor: float
) -> None:
    with pytest.raises(ValueError, match="must"):
        Backoff(initial=initial, maximum=maximum, factor=factor)
