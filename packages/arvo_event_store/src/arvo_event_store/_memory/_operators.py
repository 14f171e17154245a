"""What operators do with reactions and their targets in memory."""

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime

from arvo_event_store._errors import NotSupportedError
from arvo_event_store._reaction_state import ParkedEvent, ReactionLag
from arvo_event_store._target import TargetKind, TargetState
from arvo_event_store.stores import MAX_POSITION, check_name, missing_reaction, replay_key
from arvo_time.settings import check_count, check_flag, check_instance

from ._contents import InMemory
from ._reactions import Registered
from ._targets import Target


class MemoryOperators(InMemory):
    """What `IReactionStore` has for operators, in memory."""

    def targets(
        self, group: str, *, reaction: str | None = None, blocked: bool | None = None
    ) -> AsyncIterator[TargetState]:
        """See `IReactionStore.targets`."""
        _check_names(group, reaction)
        if blocked is not None:
            check_flag(blocked, name="blocked")
        return self._listed(group, reaction=reaction, blocked=blocked)

    async def _listed(
        self, group: str, *, reaction: str | None, blocked: bool | None
    ) -> AsyncIterator[TargetState]:
        self._check_open()
        states = [each.state() for each in self._targets.of(group, reaction=reaction)]
        for state in states:
            if blocked in {None, state.blocked_at is not None}:
                yield state

    async def lag(self, group: str) -> list[ReactionLag]:
        """See `IReactionStore.lag`."""
        check_name(group, path="group")
        self._check_open()
        return [
            self._lag(group, name, found)
            for name, found in sorted(self._reactions.of(group).items())
        ]

    def _lag(self, group: str, name: str, found: Registered) -> ReactionLag:
        targets = self._targets.of(group, reaction=name)
        asleep = [each for each in targets if each.due is not None]
        blocked = [each for each in targets if each.blocked_at is not None]
        work = [each for each in targets if each.has_work]
        return ReactionLag(
            reaction=name,
            scanned=found.scanned,
            unscanned=0 if found.spec.addressed else max(self._log.last - found.scanned, 0),
            pending=sum(each.due is None and each.blocked_at is None for each in work),
            asleep=len(asleep),
            blocked=len(blocked),
            parked=sum(place[:2] == (group, name) for place in self._parked),
            oldest=self._stored_after(each.at for each in work),
        )

    def _stored_after(self, positions: Iterable[int]) -> datetime | None:
        least = min(positions, default=None)
        if least is None:
            return None
        first = next(self._log.between(least, self._log.last), None)
        return None if first is None else first.created

    async def unblock(self, group: str, *, reaction: str, key: str | None = None) -> int:
        """See `IReactionStore.unblock`."""
        blocked = self._blocked(group, reaction=reaction, key=key)
        for target in blocked:
            with self._targets.changing(target):
                target.blocked_at = None
                target.attempt = target.failed = 0
        if blocked:
            self._changes.tell()
        return len(blocked)

    async def skip(self, group: str, *, reaction: str, key: str) -> bool:
        """See `IReactionStore.skip`."""
        check_name(key, path="key")
        blocked = self._blocked(group, reaction=reaction, key=key)
        for target in blocked:
            if target.reads is TargetKind.EVENT:
                self._targets.remove(target)
                continue
            with self._targets.changing(target):
                if target.error_position is not None:
                    target.at = max(target.at, target.error_position)
                target.drop_positions(upto=target.at)
                target.clear()
        if blocked:
            self._changes.tell()
        return bool(blocked)

    def _blocked(self, group: str, *, reaction: str, key: str | None) -> list[Target]:
        _check_names(group, reaction)
        if key is not None:
            check_name(key, path="key")
        self._check_open()
        if key is None:
            found = self._targets.of(group, reaction=reaction)
        else:
            one = self._targets.get(group, reaction=reaction, key=key)
            found = [] if one is None else [one]
        return [each for each in found if each.blocked_at is not None]

    async def reset(self, group: str, *, reaction: str, after: int) -> None:
        """See `IReactionStore.reset`."""
        _check_names(group, reaction)
        check_count(after, name="after", most=MAX_POSITION)
        self._check_open()
        found = self._reactions.of(group).get(reaction)
        if found is None:
            raise missing_reaction(reaction, group=group)
        if found.spec.addressed:
            raise NotSupportedError(
                f"reaction {reaction!r} of group {group!r} is addressed, so no scan would find its "
                "events again; append them again with wakes"
            )
        found.scanned = after
        found.end_lease()
        for target in self._targets.of(group, reaction=reaction):
            if target.reads is TargetKind.EVENT and target.mark > after:
                # The scan makes it again.
                self._targets.remove(target)
                continue
            with self._targets.changing(target):
                target.at, target.mark = min(target.at, after), min(target.mark, after)
                target.keep_positions(upto=after)
                target.end_lease()
                target.token += 1
                target.clear()
        self._changes.tell()

    def parked(self, group: str, *, reaction: str | None = None) -> AsyncIterator[ParkedEvent]:
        """See `IReactionStore.parked`."""
        _check_names(group, reaction)
        return self._put_aside(group, reaction=reaction)

    async def _put_aside(self, group: str, *, reaction: str | None) -> AsyncIterator[ParkedEvent]:
        self._check_open()
        for place in sorted(self._parked):
            if place[0] == group and reaction in {None, place[1]} and place in self._parked:
                yield self._parked[place]

    async def replay(self, group: str, parked: Sequence[ParkedEvent]) -> int:
        """See `IReactionStore.replay`."""
        check_name(group, path="group")
        for each in parked:
            check_instance(each, kind=ParkedEvent, name="parked")
        self._check_open()
        count = sum(self._replayed(each, group=group) for each in parked)
        if count:
            self._changes.tell()
        return count

    def _replayed(self, event: ParkedEvent, *, group: str) -> bool:
        place = (group, event.reaction, event.key, event.position)
        found = self._reactions.of(group).get(event.reaction)
        is_stored = next(self._log.between(event.position - 1, event.position), None) is not None
        if found is None or place not in self._parked or not is_stored:
            return False
        del self._parked[place]
        target = Target(
            group=group,
            reaction=event.reaction,
            key=replay_key(reads=found.spec.to, key=event.key, position=event.position),
            lane=found.spec.lane,
            reads=TargetKind.EVENT,
            # Nobody's stream waits for it.
            stream=None,
            at=event.position - 1,
            mark=event.position,
        )
        self._targets.raise_mark(target, now=self._clock.now())
        return True


def _check_names(group: str, reaction: str | None) -> None:
    check_name(group, path="group")
    if reaction is not None:
        check_name(reaction, path="reaction")
