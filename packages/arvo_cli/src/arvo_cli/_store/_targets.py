"""`arvo store unblock`, `skip` and `reset`: lets reactions go on, or begin again."""

import asyncio
from dataclasses import dataclass

from arvo_cli._errors import CommandError, RefusedError
from arvo_cli._terminal._confirm import confirm
from arvo_cli._terminal._listing import print_json, print_table
from arvo_cli._terminal._printable import say
from arvo_cli._terminal._report import counted
from arvo_event_store import IEventStore, TargetState
from arvo_time import SYSTEM_CLOCK

from ._reaction_lag import lags_of
from ._rows import BLOCKED_COLUMNS, blocked_row, target_json
from ._url import looked_into_store, store_for


@dataclass(frozen=True, slots=True, kw_only=True)
class UnblockJob:
    """The options of `arvo store unblock`."""

    store: str
    """The store's URL."""
    group: str
    """The group."""
    reaction: str
    """The reaction."""
    key: str | None
    """The target; None for all that are blocked."""
    all: bool
    """Whether all blocked targets of the reaction are meant."""
    dry_run: bool
    """Whether only to show the targets."""
    yes: bool
    """Whether not to ask."""
    json: bool
    """Whether to print JSON."""

    def run(self) -> int:
        """Let blocked targets try again, and return the exit status.

        Raises:
            CommandError: The store cannot be used, the target is not blocked, or the user does not want
                it.
        """
        if (self.key is None) != self.all:
            raise CommandError("which targets? Give the KEY of one, or --all that are blocked")
        blocked = asyncio.run(self._blocked())
        if self.dry_run:
            self._show(blocked)
            say(f"would unblock {counted(len(blocked), 'target')}")
            return 0
        if not blocked:
            say(f"no target of {self.reaction} is blocked")
            count = 0
        else:
            confirm(f"Unblock {counted(len(blocked), 'target')} of {self.reaction}?", yes=self.yes)
            count = asyncio.run(self._unblock())
            say(f"{counted(count, 'target')} unblocked")
        if self.json:
            print_json(
                [
                    {
                        "group": self.group,
                        "reaction": self.reaction,
                        "key": self.key,
                        "unblocked": count,
                    }
                ]
            )
        return 0

    async def _blocked(self) -> list[TargetState]:
        async with looked_into_store(self.store) as store:
            if self.key is not None:
                return [await _blocked_target(store, self.group, self.reaction, self.key)]
            await lags_of(store, self.group, reaction=self.reaction)
            targets = store.targets(self.group, reaction=self.reaction, blocked=True)
            return [each async for each in targets]

    async def _unblock(self) -> int:
        async with store_for("change", self.store) as store:
            return await store.unblock(self.group, reaction=self.reaction, key=self.key)

    def _show(self, blocked: list[TargetState]) -> None:
        if self.json:
            print_json(map(target_json, blocked))
        elif blocked:
            now = SYSTEM_CLOCK.now()
            print_table(BLOCKED_COLUMNS, (blocked_row(each, now=now) for each in blocked))


@dataclass(frozen=True, slots=True, kw_only=True)
class SkipJob:
    """The options of `arvo store skip`."""

    store: str
    """The store's URL."""
    group: str
    """The group."""
    reaction: str
    """The reaction."""
    key: str
    """The target."""
    yes: bool
    """Whether not to ask."""
    json: bool
    """Whether to print JSON."""

    def run(self) -> int:
        """Let a blocked target go on after the event it is blocked at, and return the exit status.

        Raises:
            CommandError: The store cannot be used, the target is not blocked, or the user does not want
                it.
        """
        target = asyncio.run(self._blocked())
        event = f"event {target.error_position}"
        failed = f" ({target.error})" if target.error else ""
        confirm(
            f"{self.key} of {self.reaction} is blocked at {event}{failed}. Give the event up?",
            yes=self.yes,
        )
        if not asyncio.run(self._skip()):
            raise RefusedError(f"{self.key} is not blocked any more; nothing was changed")
        if self.json:
            print_json(
                [
                    {
                        "group": self.group,
                        "reaction": self.reaction,
                        "key": self.key,
                        "skipped": target.error_position,
                    }
                ]
            )
        say(f"{self.key} goes on after {event}")
        return 0

    async def _blocked(self) -> TargetState:
        async with looked_into_store(self.store) as store:
            return await _blocked_target(store, self.group, self.reaction, self.key)

    async def _skip(self) -> bool:
        async with store_for("change", self.store) as store:
            return await store.skip(self.group, reaction=self.reaction, key=self.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetJob:
    """The options of `arvo store reset`."""

    store: str
    """The store's URL."""
    group: str
    """The group."""
    reaction: str
    """The reaction."""
    after: int
    """The position after which its events are handled again."""
    yes: bool
    """Whether not to ask."""
    json: bool
    """Whether to print JSON."""

    def run(self) -> int:
        """Let a reaction handle events again, and return the exit status.

        Raises:
            CommandError: The store cannot be used, there is no such reaction, it is not there yet, or
                the user does not want it.
        """
        scanned = asyncio.run(self._scanned())
        if self.after > scanned:
            raise RefusedError(
                f"{self.reaction} is scanned up to position {scanned}, so it would pass over what is "
                f"before {self.after}; nothing was changed"
            )
        confirm(
            f"{self.reaction} handles its events after position {self.after} again, up to {scanned}, "
            "and what it stores is stored once more. Go on?",
            yes=self.yes,
        )
        asyncio.run(self._reset())
        if self.json:
            print_json([{"group": self.group, "reaction": self.reaction, "after": self.after}])
        say(f"{self.reaction} handles its events after position {self.after} again")
        return 0

    async def _scanned(self) -> int:
        async with looked_into_store(self.store) as store:
            [lag] = await lags_of(store, self.group, reaction=self.reaction)
            return lag.scanned

    async def _reset(self) -> None:
        async with store_for("change", self.store) as store:
            await store.reset(self.group, reaction=self.reaction, after=self.after)


async def _blocked_target(store: IEventStore, group: str, reaction: str, key: str) -> TargetState:
    """Return a target that is blocked.

    Raises:
        CommandError: There is no such group or reaction.
        RefusedError: There is no such target, or it is not blocked.
    """
    await lags_of(store, group, reaction=reaction)
    async for target in store.targets(group, reaction=reaction, blocked=True):
        if target.key == key:
            return target
    raise RefusedError(
        f"no target {key!r} of {reaction} is blocked; `arvo store blocked` lists those that are"
    )
