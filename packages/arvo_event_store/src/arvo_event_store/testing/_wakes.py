"""Targets that appends wake."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

from arvo_event_store._append import Append
from arvo_event_store._errors import ConflictError, EventStoreError, InvalidEventError
from arvo_event_store._target import PER_EVENT, TargetKind, TargetState, Wake

from ._expectations import WakingLog, listed, only, refused, some

_WAKE = Wake(group="g", reaction="r", lane="l")


class Wakes:
    """A target is written with the append that wakes it, or not at all."""

    async def test_an_append_wakes_its_stream(self, store: WakingLog) -> None:
        """A24: a new target is below the first new event; later only its mark grows."""
        first = await _appended(store, "a", 2, _WAKE)
        (target,) = await _targets(store)
        assert target == TargetState(
            group="g",
            reaction="r",
            key="a",
            lane="l",
            stream="a",
            once=False,
            at=first[0] - 1,
            mark=first[1],
            attempt=0,
            failed=0,
            token=target.token,
            due=None,
            blocked_at=None,
            error=None,
            error_position=None,
        )
        assert target.token > 0
        due = datetime(2040, 1, 1, tzinfo=UTC)
        again = await _appended(store, "a", 1, replace(_WAKE, lane="other", due=due))
        assert await _targets(store) == [replace(target, mark=again[-1])]

    async def test_an_append_wakes_each_of_its_events(self, store: WakingLog) -> None:
        """A24: with the position as key."""
        positions = await _appended(store, "a", 3, replace(_WAKE, to=PER_EVENT))
        targets = await _targets(store)
        assert {target.key for target in targets} == {str(position) for position in positions}
        for target in targets:
            position = int(target.key)
            assert (target.at, target.mark) == (position - 1, position)
            assert (target.once, target.stream) == (True, "a")

    async def test_a_new_target_may_be_asleep(self, store: WakingLog) -> None:
        """A24: until `due`."""
        due = datetime(2040, 1, 1, 12, 30, 15, 123456, tzinfo=UTC)
        await _appended(store, "a", 1, replace(_WAKE, due=due))
        (target,) = await _targets(store)
        assert target.due == due

    async def test_targets_are_listed_by_group_and_reaction(self, store: WakingLog) -> None:
        """A24: in the order of reaction and key, and of no other group."""
        for group, reaction in (("g", "s"), ("G", "r"), ("g", "r")):
            await store.append_all(
                [
                    Append(stream, some(1), wakes=[Wake(group=group, reaction=reaction, lane="l")])
                    for stream in ("b", "a")
                ]
            )
        found = [(target.reaction, target.key) for target in await _targets(store)]
        assert found == [("r", "a"), ("r", "b"), ("s", "a"), ("s", "b")]
        only = [target.key async for target in store.targets("g", reaction="s")]
        assert only == ["a", "b"]
        assert [target async for target in store.targets("none")] == []

    async def test_what_is_refused_or_skipped_wakes_nothing(self, store: WakingLog) -> None:
        """A24: a target that was done would run again."""
        batch = some(2)
        wakes = [replace(_WAKE, to=PER_EVENT)]
        await store.append("a", batch)
        wrong: tuple[tuple[list[Append], type[EventStoreError]], ...] = (
            ([Append("a", some(1), wakes=wakes, expect=7)], ConflictError),
            ([Append("b", some(1), wakes=wakes), Append("a", some(1), expect=7)], ConflictError),
            ([Append("b", [*some(1), replace(batch[0], name="")], wakes=wakes)], InvalidEventError),
        )
        for appends, error in wrong:
            await refused(store.append_all(appends), error)
        await store.append_all([Append("a", batch, wakes=wakes)])
        await store.append_all([Append("c", batch, wakes=wakes, known="skip")])
        await store.append_all([Append("c", [], wakes=wakes)])
        assert await _targets(store) == []
        (new,) = some(1)
        await store.append_all([Append("c", [*batch, new], wakes=wakes, known="skip")])
        (target,) = await _targets(store)
        event = await only(store.read("c"))
        assert target.key == str(event.position)

    async def test_racing_appends_leave_marks_at_the_last_event(self, store: WakingLog) -> None:
        """A24: for each stream, and for streams that are written together, in any order."""

        async def write(number: int) -> None:
            streams = [f"s{number % 3}", f"s{(number + 1) % 3}"][:: 1 if number % 2 else -1]
            await store.append_all([Append(each, some(2), wakes=[_WAKE]) for each in streams])

        await asyncio.gather(*(write(number) for number in range(30)))
        marks = {target.key: target.mark for target in await _targets(store)}
        last = {event.stream: event.position for event in await listed(store.read_all())}
        assert marks == last
        ats = {target.key: target.at for target in await _targets(store)}
        for stream, at in ats.items():
            first = await anext(store.read(stream, limit=1))
            assert at == first.position - 1

    async def test_a_wrong_wake_is_refused(self, store: WakingLog) -> None:
        """A24: a name against the rules, a time without a zone, one reaction twice, no stream."""
        for wake in (
            replace(_WAKE, group=""),
            replace(_WAKE, reaction="a\0"),
            replace(_WAKE, lane=""),
        ):
            await refused(store.append_all([Append("a", some(1), wakes=[wake])]), InvalidEventError)
        naive = replace(_WAKE, due=datetime(2040, 1, 1))  # noqa: DTZ001 - that is the point
        several = [[replace(_WAKE, to=kind)] for kind in (TargetKind.KEY, TargetKind.LOG)]
        for wakes in ([naive], [_WAKE, replace(_WAKE, to=PER_EVENT)], *several):
            await refused(store.append_all([Append("a", some(1), wakes=wakes)]), ValueError)
        assert await store.heads(["a"]) == {}


async def _appended(store: WakingLog, stream: str, count: int, wake: Wake) -> list[int]:
    """Append events that wake a target, and return their positions."""
    (done,) = await store.append_all([Append(stream, some(count), wakes=[wake])])
    assert done.version is not None
    events = await listed(store.read(stream, after=done.version - count))
    return [event.position for event in events]


async def _targets(store: WakingLog) -> list[TargetState]:
    return [target async for target in store.targets("g")]
