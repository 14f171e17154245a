"""The horizon: what follows the log up to it misses nothing."""

import asyncio
from random import Random

from arvo_event_store._append import Append
from arvo_event_store._errors import ConflictError
from arvo_event_store._event import Event

from ._expectations import WakingLog, listed, some


class Horizons:
    """Nothing appears below the horizon, and it never goes back."""

    async def test_whoever_follows_the_log_misses_nothing(self, store: WakingLog) -> None:
        """H2, H5: beside ten writers to three streams at once, of whom some are refused."""
        stored: list[tuple[str, int]] = []

        async def write(number: int) -> None:
            draw = Random(number)  # noqa: S311 - it draws tests
            for _ in range(20):
                await asyncio.sleep(0)
                streams = draw.sample(["s0", "s1", "s2", "s3"], 3)
                expect = 10**6 if draw.random() < 0.1 else None
                appends = [Append(each, some(draw.choice((1, 2)))) for each in streams]
                if expect is not None:
                    appends[2] = Append(streams[2], some(1), expect=expect)
                try:
                    done = await store.append_all(appends)
                except ConflictError:
                    continue
                for each in done:
                    assert each.version is not None
                    first = each.version + 1 - each.count
                    stored.extend(
                        (each.stream, version) for version in range(first, each.version + 1)
                    )

        writing = asyncio.gather(*(write(number) for number in range(10)))
        seen: list[Event] = []
        horizon = 0
        while True:
            is_last = writing.done()
            before, horizon = horizon, await store.horizon()
            assert horizon >= before, f"the horizon went back from {before} to {horizon}"
            after = seen[-1].position if seen else 0
            seen += await listed(store.read_all(after=after))
            if is_last:
                break
            await asyncio.sleep(0)
        await writing
        found = [(event.stream, event.version) for event in seen]
        assert len(set(found)) == len(found), "an event was read twice"
        assert set(found) == set(stored), "an event was missed"
        positions = [event.position for event in seen]
        assert positions == sorted(positions)
        for stream in ("s0", "s1", "s2", "s3"):
            versions = [version for name, version in found if name == stream]
            assert versions == list(range(len(versions)))

    async def test_an_append_that_was_refused_holds_nothing_back(self, store: WakingLog) -> None:
        """H3: positions that it may have taken are passed."""
        await store.append("a", some(1))
        for _ in range(3):
            try:
                await store.append_all([Append("b", some(2)), Append("a", some(1), expect=7)])
            except ConflictError:
                continue
            raise AssertionError("the append must be refused")
        done = await store.append("a", some(1))
        assert done.position is not None
        assert await store.horizon() >= done.position
        events = await listed(store.read_all())
        assert [(event.stream, event.version) for event in events] == [("a", 0), ("a", 1)]
