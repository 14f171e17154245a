"""What a store keeps for reactions."""

from collections.abc import AsyncIterator, Collection, Sequence
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from ._lease import Finish, Finished, Lease
from ._reaction_spec import ReactionSpec
from ._reaction_state import ParkedEvent, ReactionLag
from ._scan_page import Mark, Ready, ScanPage, UnroutedEvent
from ._target import TargetState


class IReactionStore(Protocol):
    """The reactions of groups, and their targets with leases and watermarks.

    Times are those of the store's clock, never of a caller's. Every call raises `StoreFailure` when
    the database fails or the store is closed, TypeError and ValueError for arguments, and
    `InvalidEventError` for names against the rules.
    """

    # --- workers ------------------------------------------------------------

    async def register(
        self, group: str, reactions: Sequence[ReactionSpec], *, redefine: bool = False
    ) -> None:
        """Make reactions known. One that is known already, as it is, is left alone.

        Args:
            group: The group.
            reactions: The reactions, each name once.
            redefine: Whether one that is known with another definition takes the new one: it goes on
                where it was, and its targets move to the new lane. What its targets are and whether
                it is addressed cannot be redefined.

        Raises:
            ReactionChangedError: One is known with another definition; nothing was changed.
        """
        ...

    async def scan(
        self,
        group: str,
        *,
        owner: UUID,
        ttl: timedelta,
        reactions: Sequence[ReactionSpec],
        limit: int,
        leading: bool = True,
    ) -> ScanPage | None:
        """Take the lease of scanning, or prolong it, and read events that are not scanned yet.

        One owner at a time scans a reaction. Addressed reactions are only compared with what is
        registered. Reactions that are more than `limit` positions apart are not read in one page, so
        that one that begins with the first event holds up nobody.

        Args:
            group: The group.
            owner: Who asks.
            ttl: For how long the lease is, from now.
            reactions: The reactions that the caller knows.
            limit: How many events a page has at most.
            leading: Whether the page is for those that are furthest ahead, or furthest behind.

        Returns:
            The page, also if it has no events; None if others scan all of them.

        Raises:
            ReactionChangedError: One is registered otherwise, or not at all.
        """
        ...

    async def mark(
        self,
        page: ScanPage,
        marks: Sequence[Mark],
        *,
        unrouted: Sequence[UnroutedEvent] = (),
        progress: Collection[str],
    ) -> bool:
        """Store what a page concerns, in one step, if the lease still stands.

        A page may be stored twice, and one that was read before another was stored may overlap with
        it: of events up to which a reaction was scanned already nothing is stored again, as a target
        that was one event's may be done and gone.

        Args:
            page: The page.
            marks: The targets; each once.
            unrouted: The events to park.
            progress: The reactions that are scanned up to the end of the page from now on. One that
                has marks or unrouted events must be among them.

        Returns:
            Whether it is stored. If not, somebody else scans one of the reactions, or was reset, and
            nothing was changed.
        """
        ...

    async def leave(self, group: str, *, owner: UUID) -> None:
        """Give up the lease of scanning, so that others need not wait until it ends."""
        ...

    async def ready(self, group: str, *, lanes: Collection[str]) -> Ready:
        """Return which of these lanes have work that nobody has.

        It is one look for all who share the lanes: whose reactions the work is for, and whether they are
        registered as the caller has them, only `claim` and `scan` tell. So a lane may be named of which
        a claim gets nothing.
        """
        ...

    async def claim(
        self,
        group: str,
        *,
        owner: UUID,
        ttl: timedelta,
        reactions: Sequence[ReactionSpec],
        lane: str,
        lagging: int,
        leading: int,
        max_events: int,
        max_bytes: int,
    ) -> list[Lease]:
        """Take leases of targets that have work, each with the next of its events.

        Targets that are due are woken first. A lease that ran out may be taken by anybody; its
        former holder is refused from then on.

        Args:
            group: The group.
            owner: Who asks.
            ttl: For how long the leases are, from now.
            reactions: The reactions that the caller has in this lane. One that is registered with
                another definition, or not at all, is left out, as its events would not be those that
                the targets were marked for; `scan` says so.
            lane: The lane.
            lagging: How many targets to take of those with the lowest watermarks.
            leading: How many more of those with the highest.
            max_events: How many events a lease has at most.
            max_bytes: How long the JSON of their data is at most, in UTF-8; the first event is there
                whatever its length.

        Returns:
            The leases; empty if there is no work.
        """
        ...

    async def extend(self, leases: Sequence[Lease], *, ttl: timedelta) -> list[Lease]:
        """Prolong leases.

        Returns:
            Those that still stood; what is missing is lost.
        """
        ...

    async def finish(self, finishes: Sequence[Finish]) -> list[Finished]:
        """Store what became of leases, each with what belongs to it, all or nothing.

        One that is refused does not hold up the others. Of a lease that is lost nothing is stored. A
        target that is one event's is gone once it is done or parked.

        Returns:
            What became of each, in the same order.

        Raises:
            NotSupportedError: The store has no such work; nothing was stored.
        """
        ...

    async def release(self, leases: Sequence[Lease]) -> None:
        """Give leases back that were not used, which counts no attempt. Lost ones are left alone."""
        ...

    # --- operators ----------------------------------------------------------

    def targets(
        self, group: str, *, reaction: str | None = None, blocked: bool | None = None
    ) -> AsyncIterator[TargetState]:
        """List the targets of a group, in the order of reaction and key.

        Args:
            group: The group; one that does not exist has no targets.
            reaction: Only those of this reaction; None is all.
            blocked: Only those that are blocked, or only those that are not; None is all.

        Returns:
            An iterator of the targets, read in pages.
        """
        ...

    async def lag(self, group: str) -> list[ReactionLag]:
        """Return how far each reaction of a group is behind, in the order of their names."""
        ...

    async def unblock(self, group: str, *, reaction: str, key: str | None = None) -> int:
        """Let blocked targets try again, with all their tries. What they failed with stays to be seen.

        Args:
            group: The group.
            reaction: The reaction.
            key: The target; None is all that are blocked.

        Returns:
            How many were blocked.
        """
        ...

    async def skip(self, group: str, *, reaction: str, key: str) -> bool:
        """Let a blocked target go on after the event it is blocked at, which is given up.

        Returns:
            Whether it was blocked.
        """
        ...

    async def reset(self, group: str, *, reaction: str, after: int) -> None:
        """Scan again for a reaction: it handles what is after a position once more.

        Leases of its targets are lost, blocked ones go on. Events that are parked stay so.

        Args:
            group: The group.
            reaction: The reaction.
            after: The position; 0 is the beginning. Targets that are behind it stay where they are.

        Raises:
            NotSupportedError: The reaction is addressed, so that no scan finds its events.
            ReactionChangedError: There is no such reaction.
        """
        ...

    def parked(self, group: str, *, reaction: str | None = None) -> AsyncIterator[ParkedEvent]:
        """List the events that were put aside, in the order of reaction, key and position."""
        ...

    async def replay(self, group: str, parked: Sequence[ParkedEvent]) -> int:
        """Hand out parked events once more, each as a target of its own.

        Watermarks stay as they are, so an event is replayed beside those that came after it. An event
        that was not routed is not routed now either: the reaction gets it as it is.

        Returns:
            How many of them were parked, and whose events were still there.
        """
        ...
