"""What operators do with the reactions of a file."""

from collections.abc import AsyncIterator, Sequence
from functools import partial

from arvo_event_store._reaction_state import ParkedEvent, ReactionLag
from arvo_event_store._target import TargetState
from arvo_event_store.stores import MAX_POSITION, PAGE_EVENTS, check_name
from arvo_time.settings import check_count, check_flag, check_instance

from . import _operators, _targets
from ._file import OnFile


class FileOperators(OnFile):
    """What `IReactionStore` has for operators, in a file."""

    def targets(
        self, group: str, *, reaction: str | None = None, blocked: bool | None = None
    ) -> AsyncIterator[TargetState]:
        """See `IReactionStore.targets`."""
        _check_names(group, reaction)
        if blocked is not None:
            check_flag(blocked, name="blocked")
        return self._targets(group, reaction=reaction, blocked=blocked)

    async def _targets(
        self, group: str, *, reaction: str | None, blocked: bool | None
    ) -> AsyncIterator[TargetState]:
        after = ("", "")
        page: list[TargetState] | None = None
        while page is None or len(page) == PAGE_EVENTS:
            page = await self._file.read(
                "TARGETS",
                partial(
                    _targets.page_of_targets,
                    group=group,
                    reaction=reaction,
                    blocked=blocked,
                    after=after,
                ),
                collection="target",
            )
            for target in page:
                yield target
            if page:
                after = (page[-1].reaction, page[-1].key)

    async def lag(self, group: str) -> list[ReactionLag]:
        """See `IReactionStore.lag`."""
        check_name(group, path="group")
        return await self._file.read(
            "LAG", lambda connection: _operators.lag(connection, group), collection="reaction"
        )

    async def unblock(self, group: str, *, reaction: str, key: str | None = None) -> int:
        """See `IReactionStore.unblock`."""
        _check_names(group, reaction)
        if key is not None:
            check_name(key, path="key")
        return await self._file.write_telling(
            "UNBLOCK",
            lambda connection: _operators.unblock(connection, group, reaction=reaction, key=key),
            collection="target",
        )

    async def skip(self, group: str, *, reaction: str, key: str) -> bool:
        """See `IReactionStore.skip`."""
        _check_names(group, reaction)
        check_name(key, path="key")
        return await self._file.write_telling(
            "SKIP",
            lambda connection: _operators.skip(connection, group, reaction=reaction, key=key),
            collection="target",
        )

    async def reset(self, group: str, *, reaction: str, after: int) -> None:
        """See `IReactionStore.reset`."""
        _check_names(group, reaction)
        check_count(after, name="after", most=MAX_POSITION)
        await self._file.write_telling(
            "RESET",
            lambda connection: _operators.reset(connection, group, reaction=reaction, after=after),
            collection="target",
        )

    def parked(self, group: str, *, reaction: str | None = None) -> AsyncIterator[ParkedEvent]:
        """See `IReactionStore.parked`."""
        _check_names(group, reaction)
        return self._parked(group, reaction=reaction)

    async def _parked(self, group: str, *, reaction: str | None) -> AsyncIterator[ParkedEvent]:
        after = ("", "", 0)
        page: list[ParkedEvent] | None = None
        while page is None or len(page) == PAGE_EVENTS:
            page = await self._file.read(
                "PARKED",
                partial(_operators.page_of_parked, group=group, reaction=reaction, after=after),
                collection="parked",
            )
            for event in page:
                yield event
            if page:
                after = (page[-1].reaction, page[-1].key, page[-1].position)

    async def replay(self, group: str, parked: Sequence[ParkedEvent]) -> int:
        """See `IReactionStore.replay`."""
        check_name(group, path="group")
        for each in parked:
            check_instance(each, kind=ParkedEvent, name="parked")
        given = tuple(parked)
        return await self._file.write_telling(
            "REPLAY",
            lambda connection: _operators.replay(
                connection, group, given, now=self._file.clock.now()
            ),
            collection="target",
        )


def _check_names(group: str, reaction: str | None) -> None:
    check_name(group, path="group")
    if reaction is not None:
        check_name(reaction, path="reaction")
