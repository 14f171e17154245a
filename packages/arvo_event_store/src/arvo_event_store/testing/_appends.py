"""Appending: versions, expectations, all or nothing."""

import asyncio

from arvo_event_store._append import Append, Appended
from arvo_event_store._errors import ConflictError, InvalidEventError
from arvo_event_store._event import NewEvent
from arvo_event_store._expect import Expect

from ._expectations import WakingLog, added, listed, refused, some, versions


class Appends:
    """What an append stores, and when it stores nothing."""

    async def test_append_returns_where_its_events_are(self, store: WakingLog) -> None:
        """A1: the version and position of the last one, and how many there are."""
        first = await store.append("a", some(3))
        second = await store.append("a", some(2))
        events = await listed(store.read("a"))
        assert [event.version for event in events] == [0, 1, 2, 3, 4]
        for appended, last, count in ((first, events[2], 3), (second, events[4], 2)):
            assert appended == Appended(
                stream="a", version=last.version, position=last.position, count=count
            )

    async def test_an_event_is_read_as_it_was_appended(self, store: WakingLog) -> None:
        """A1: with every field, and with the store's time in UTC."""
        cause = added(1)
        given = NewEvent(
            "Added",
            {"amount": 2},
            correlation="order 7",
            causation=cause.id,
            meta={"schema": 3},
            private={"name": "Ann"},
        )
        await store.append("a", [cause, given])
        events = await listed(store.read("a"))
        assert len(events) == 2
        first, second = events
        assert (first.correlation, first.causation) == (str(cause.id), None)
        assert (first.meta, first.private) == ({}, None)
        assert (second.id, second.name, second.stream) == (given.id, "Added", "a")
        assert (second.data, second.meta) == ({"amount": 2}, {"schema": 3})
        assert (second.correlation, second.causation) == ("order 7", cause.id)
        assert second.private == {"name": "Ann"}
        offset = second.created.utcoffset()
        assert offset is not None
        assert not offset

    async def test_versions_have_no_gaps_over_a_thousand_appends(self, store: WakingLog) -> None:
        """A2: of one and of several events, to four streams, some of them refused, ten at a time."""

        async def append(number: int) -> None:
            stream = f"s{number % 4}"
            if number % 7 == 0:
                await refused(store.append(stream, some(2), expect=10**6), ConflictError)
            elif number % 5 == 0:
                appends = [Append(f"s{each}", some(1)) for each in range(4)]
                await store.append_all(appends)
            else:
                await store.append(stream, some(1 + number % 3))

        for begin in range(1, 1000, 10):
            await asyncio.gather(*(append(number) for number in range(begin, begin + 10)))
        total = 0
        for each in range(4):
            events = await listed(store.read(f"s{each}"))
            assert [event.version for event in events] == list(range(len(events)))
            positions = [event.position for event in events]
            assert positions == sorted(set(positions))
            total += len(events)
        assert total == len(await listed(store.read_all()))

    async def test_a_bad_event_stores_none_of_its_batch(self, store: WakingLog) -> None:
        """A3: neither the events before it nor those after it, nor the stream."""
        bad = NewEvent("Added", {"amount": float("nan")})
        error = await refused(store.append("a", [added(1), bad, added(3)]), InvalidEventError)
        assert (error.stream, error.event, error.path) == ("a", 1, "data.amount")
        await refused(
            store.append_all([Append("b", some(1)), Append("a", [bad])]), InvalidEventError
        )
        assert await store.heads(["a", "b"]) == {}
        assert await listed(store.read_all()) == []

    async def test_each_expectation_holds_and_fails_where_it_must(self, store: WakingLog) -> None:
        """A4: against no stream, and against one at version 1; a failure stores nothing."""
        await store.append("there", some(2), expect=Expect.NO_STREAM)
        wrong: tuple[tuple[str, int | None, Expect | int], ...] = (
            *(("new", None, Expect.STREAM_EXISTS), ("new", None, 0), ("new", None, 1)),
            *(("there", 1, Expect.NO_STREAM), ("there", 1, 0), ("there", 1, 2)),
        )
        for stream, actual, expect in wrong:
            error = await refused(store.append(stream, some(1), expect=expect), ConflictError)
            assert (error.stream, error.expected, error.actual) == (stream, expect, actual)
            both = [Append("other", some(1)), Append(stream, some(1), expect=expect)]
            error = await refused(store.append_all(both), ConflictError)
            assert (error.stream, error.expected, error.actual) == (stream, expect, actual)
        assert set(await store.heads(["new", "there", "other"])) == {"there"}
        right: tuple[tuple[str, Expect | int, int], ...] = (
            *(("new", Expect.NO_STREAM, 0), ("newer", Expect.ANY, 0)),
            *(("there", Expect.STREAM_EXISTS, 2), ("there", Expect.ANY, 3), ("there", 3, 4)),
        )
        for stream, expect, version in right:
            assert (await store.append(stream, some(1), expect=expect)).version == version

    async def test_expecting_version_0_is_not_expecting_anything(self, store: WakingLog) -> None:
        """A5: 0 is a version like others, that of a stream with one event."""
        await refused(store.append("a", some(1), expect=0), ConflictError)
        await store.append("a", some(1))
        assert (await store.append("a", some(1), expect=0)).version == 1
        await refused(store.append("a", some(1), expect=0), ConflictError)

    async def test_a_wrong_expectation_is_refused_at_the_call(self, store: WakingLog) -> None:
        """A5: what is no version and no `Expect` is a TypeError or a ValueError."""
        for expect, error in (
            (True, TypeError),
            ("1", TypeError),
            (-1, ValueError),
            (-2, ValueError),
        ):
            wrong: int = expect  # type: ignore[assignment] # that is the point
            await refused(store.append("a", some(1), expect=wrong), error)
        assert await store.heads(["a"]) == {}

    async def test_a_conflict_names_the_version_and_changes_nothing(self, store: WakingLog) -> None:
        """A6: also not the time of the last change."""
        await store.append("a", some(3))
        before = await store.heads(["a"])
        error = await refused(store.append("a", some(2), expect=1), ConflictError)
        assert (error.expected, error.actual) == (1, 2)
        assert await store.heads(["a"]) == before
        assert await versions(store.read("a")) == [0, 1, 2]

    async def test_one_of_many_racers_wins(self, store: WakingLog) -> None:
        """A7: of thirty that expect the same version, in three rounds."""
        for version in range(3):
            expect = Expect.NO_STREAM if version == 0 else version - 1

            async def race(amount: int, expect: Expect | int = expect) -> bool:
                try:
                    await store.append("a", [added(amount)], expect=expect)
                except ConflictError:
                    return False
                return True

            assert sum(await asyncio.gather(*map(race, range(30)))) == 1
        assert await versions(store.read("a")) == [0, 1, 2]

    async def test_an_append_of_no_events_does_nothing(self, store: WakingLog) -> None:
        """A8: it makes no stream, and checks no expectation."""
        nothing = Appended(stream="a", version=None, position=None, count=0)
        assert await store.append("a", []) == nothing
        assert await store.append("a", [], expect=7) == nothing
        assert await store.append_all([]) == []
        first, second = await store.append_all([Append("a", []), Append("b", some(1))])
        assert (first, second.version) == (nothing, 0)
        assert set(await store.heads(["a", "b"])) == {"b"}

    async def test_appends_to_several_streams_are_all_or_nothing(self, store: WakingLog) -> None:
        """A19: in their order; one that is refused refuses all."""
        await store.append("b", some(1))
        done = await store.append_all(
            [Append("c", some(2)), Append("a", some(1)), Append("b", some(2), expect=0)]
        )
        assert [(each.stream, each.version, each.count) for each in done] == [
            ("c", 1, 2),
            ("a", 0, 1),
            ("b", 2, 2),
        ]
        events = await listed(store.read_all())
        assert [(event.stream, event.version) for event in events[1:]] == [
            *(("c", 0), ("c", 1)),
            ("a", 0),
            *(("b", 1), ("b", 2)),
        ]
        error = await refused(
            store.append_all([Append("new", some(1)), Append("b", some(1), expect=0)]),
            ConflictError,
        )
        assert (error.stream, error.actual) == ("b", 2)
        assert await store.heads(["new"]) == {}
        assert await listed(store.read_all()) == events

    async def test_a_stream_twice_in_one_call_is_refused(self, store: WakingLog) -> None:
        """A19: its expectations would contradict each other."""
        await refused(store.append_all([Append("a", some(1)), Append("a", some(1))]), ValueError)
        assert await store.heads(["a"]) == {}
