"""Ids that are in the log already: the same append again, and others."""

import asyncio
from dataclasses import replace

from arvo_event_store._append import Append, Appended
from arvo_event_store._errors import ConflictError, EventIdReusedError, InvalidEventError
from arvo_event_store._event import NewEvent
from arvo_event_store._expect import Expect

from ._expectations import WakingLog, added, listed, refused, some


class KnownIds:
    """An event is stored once, however often it is sent."""

    async def test_the_same_append_again_gives_what_the_first_gave(self, store: WakingLog) -> None:
        """A14: and stores nothing, also when other events came in between."""
        batch = some(3)
        first = await store.append("a", batch)
        assert not first.duplicate
        assert await store.append("a", batch) == replace(first, duplicate=True)
        await store.append("a", some(1))
        assert await store.append("a", batch) == replace(first, duplicate=True)
        assert (await store.heads(["a"]))["a"].version == 3

    async def test_the_same_appends_to_several_streams_again(self, store: WakingLog) -> None:
        """A14: and each for itself, if only some of them are known."""
        appends = [Append("a", some(2)), Append("b", some(1))]
        first = await store.append_all(appends)
        again = [replace(each, duplicate=True) for each in first]
        assert await store.append_all(appends) == again
        *known, new = await store.append_all([*appends, Append("c", some(1))])
        assert known == again
        assert (new.version, new.duplicate) == (0, False)

    async def test_the_same_append_at_once_is_stored_once(self, store: WakingLog) -> None:
        """A14: ten senders of the same batch; one of them stores it."""
        batch = some(2)
        done = await asyncio.gather(*(store.append("a", batch) for _ in range(10)))
        assert sorted(each.duplicate for each in done) == [False, *[True] * 9]
        assert len({replace(each, duplicate=False) for each in done}) == 1
        assert len(await listed(store.read("a"))) == 2

    async def test_a_known_id_with_other_content_is_refused(self, store: WakingLog) -> None:
        """A16: another stream, name, data or order; nothing is stored."""
        one, two = some(2)
        await store.append("a", [one, two])
        before = await listed(store.read_all())
        for stream, batch, id_ in (
            ("b", [one, two], one.id),
            ("a", [replace(one, name="Other"), two], one.id),
            ("a", [one, replace(two, data={"amount": 7})], two.id),
            ("a", [two, one], one.id),
        ):
            error = await refused(store.append(stream, batch), EventIdReusedError)
            assert (error.stream, error.id) == (stream, id_)
        assert await listed(store.read_all()) == before

    async def test_true_is_not_one_and_1_is_not_1_0(self, store: WakingLog) -> None:
        """A16: data is compared as it is stored."""
        event = NewEvent("Added", {"amount": 1})
        await store.append("a", [event])
        for other in (True, 1.0, "1"):
            again = replace(event, data={"amount": other})
            await refused(store.append("a", [again]), EventIdReusedError)

    async def test_an_append_that_is_partly_known_is_refused(self, store: WakingLog) -> None:
        """A17: it is not the same append; nothing is stored."""
        batch = some(2)
        await store.append("a", batch)
        for wrong in ([*batch, added(3)], [added(0), *batch], [batch[0], added(9), batch[1]]):
            error = await refused(store.append("a", wrong), EventIdReusedError)
            assert error.id == batch[0].id
        appends = [Append("b", some(1)), Append("a", [*batch, added(3)])]
        await refused(store.append_all(appends), EventIdReusedError)
        assert await store.heads(["b"]) == {}
        assert len(await listed(store.read("a"))) == 2

    async def test_known_events_are_skipped_on_request(self, store: WakingLog) -> None:
        """A17, A23: whatever is in them, wherever they are; their ids are named."""
        one, two, three, four = some(4)
        first = await store.append("a", [one, two])
        other = NewEvent("Other", "else", id=one.id)
        (done,) = await store.append_all([Append("b", [three, other, two, four], known="skip")])
        assert done == Appended(
            stream="b",
            version=1,
            position=done.position,
            count=2,
            skipped=(one.id, two.id),
        )
        assert [event.id for event in await listed(store.read("b"))] == [three.id, four.id]
        (done,) = await store.append_all([Append("c", [two, other], known="skip", expect=7)])
        assert done == Appended(
            stream="c",
            version=None,
            position=first.position,
            count=0,
            duplicate=True,
            skipped=(two.id, one.id),
        )
        assert await store.heads(["c"]) == {}

    async def test_skipping_checks_the_expectation_of_what_is_left(self, store: WakingLog) -> None:
        """A17: the stream must be as expected for what is new."""
        one, two = some(2)
        await store.append("a", [one])
        wrong = Append("a", [one, two], known="skip", expect=Expect.NO_STREAM)
        await refused(store.append_all([wrong]), ConflictError)
        (done,) = await store.append_all([replace(wrong, expect=0)])
        assert (done.version, done.skipped) == (1, (one.id,))

    async def test_a_duplicate_beats_the_expectation(self, store: WakingLog) -> None:
        """A18: what was stored is no conflict, as its own append moved the stream."""
        batch = some(1)
        first = await store.append("a", batch, expect=Expect.NO_STREAM)
        again = await store.append("a", batch, expect=Expect.NO_STREAM)
        assert again == replace(first, duplicate=True)

    async def test_an_id_twice_in_one_call_is_refused(self, store: WakingLog) -> None:
        """A16: in one append, and in two of one call."""
        event = added(1)
        error = await refused(store.append("a", [event, added(2), event]), InvalidEventError)
        assert (error.stream, error.event, error.path) == ("a", 2, "id")
        appends = [Append("a", [event]), Append("b", [event], known="skip")]
        await refused(store.append_all(appends), InvalidEventError)
        assert await listed(store.read_all()) == []

    async def test_a_cancelled_append_is_there_or_not(self, store: WakingLog) -> None:
        """A22: wholly, wherever it was cancelled; sent again, it is there once."""
        for turns in range(20):
            batch = some(3)
            append = asyncio.ensure_future(store.append(f"s{turns}", batch))
            for _ in range(turns):
                await asyncio.sleep(0)
            append.cancel()
            await asyncio.gather(append, return_exceptions=True)
            assert len(await listed(store.read(f"s{turns}"))) in {0, 3}
            assert (await store.append(f"s{turns}", batch)).version == 2
            assert len(await listed(store.read(f"s{turns}"))) == 3
