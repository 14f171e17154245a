"""How claims are shared between targets that are behind and those that are ahead."""

from random import Random

from arvo_event_store._reactions._frontiers import Frontiers


def test_single_events_are_claimed_from_the_lagging_end_only() -> None:
    frontiers = Frontiers(both=False)
    frontiers.handled(10, lagging=False)
    assert [frontiers.split(count) for count in (1, 16)] == [(1, 0), (16, 0)]


def test_the_share_follows_what_each_half_gave_to_do() -> None:
    frontiers = Frontiers(both=True)
    assert frontiers.split(16) == (8, 8)
    frontiers.handled(60, lagging=True)
    frontiers.handled(40, lagging=False)
    assert frontiers.split(10) == (6, 4)
    assert frontiers.share == 0.6
    frontiers.handled(1_000, lagging=True)
    assert frontiers.split(10) == (8, 2)
    frontiers.handled(1_000, lagging=False)
    assert frontiers.split(10) == (2, 8)


def test_neither_half_starves_with_a_single_slot() -> None:
    for ahead in (True, False):
        frontiers = Frontiers(both=True)
        claimed = {True: 0, False: 0}
        for _ in range(1_000):
            frontiers.handled(100, lagging=ahead)
            lagging, leading = frontiers.split(1)
            assert (lagging + leading, min(lagging, leading)) == (1, 0)
            claimed[bool(lagging)] += 1
        assert abs(claimed[not ahead] - 200) <= 2


def test_splits_are_whole_whatever_was_handled() -> None:
    draw = Random(7)
    frontiers = Frontiers(both=True)
    for _ in range(1_000):
        for _ in range(draw.randrange(4)):
            frontiers.handled(draw.randrange(100), lagging=draw.random() < 0.5)
        count = draw.randrange(1, 17)
        lagging, leading = frontiers.split(count)
        assert lagging + leading == count
        assert min(lagging, leading) >= 0
