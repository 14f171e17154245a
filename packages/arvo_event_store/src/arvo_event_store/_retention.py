"""Retention: how long the events of streams are kept, and the worker that cuts them off."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, NoReturn

from arvo_time import SYSTEM_CLOCK, Clock
from arvo_time.logs import bounded_logger
from arvo_time.settings import check_clock, check_count, check_duration, check_flag, check_instance

from ._archive import Archive, IRetentionStore
from ._errors import EventStoreError
from ._names import check_name, check_prefix
from ._stream import StreamHead

_ROWS: Final = 1_000
_logger = bounded_logger("arvo_event_store")


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """How long the events of some streams are kept; at least one bound must be given.

    Raises:
        TypeError: A field is of another type.
        ValueError: There is no bound, `max_age` is not above zero, or `max_count` below 0.
        InvalidEventError: A name breaks the rules for names.

    Example:
        >>> policy = RetentionPolicy("audit-", max_age=timedelta(days=365), snapshot_kind=None)
        >>> policy.max_count is None
        True
    """

    stream_prefix: str
    """How the names of the streams begin, literally."""
    max_age: timedelta | None = field(default=None, kw_only=True)
    """How old an event may be; None is no bound."""
    max_count: int | None = field(default=None, kw_only=True)
    """How many events of each stream are kept; None is no bound."""
    archive: Archive | None = field(default=None, kw_only=True)
    """Where events are written before they are cut off; None if they are just deleted."""
    snapshot_kind: str | None = field(kw_only=True)
    """The kind of the snapshots that must cover what is cut off: the category of the aggregate. None
    says that the streams are not an aggregate's."""

    def __post_init__(self) -> None:
        check_prefix(self.stream_prefix, path="stream_prefix")
        if self.max_age is None and self.max_count is None:
            raise ValueError("max_age or max_count must be given")
        if self.max_age is not None:
            check_duration(self.max_age, name="max_age", above_zero=True)
        if self.max_count is not None:
            check_count(self.max_count, name="max_count")
        if self.archive is not None:
            check_instance(self.archive, kind=Archive, name="archive")
        if self.snapshot_kind is not None:
            check_name(self.snapshot_kind, path="snapshot_kind")


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamCut:
    """What was done about a stream that has more events than its policy keeps."""

    stream: str
    """The stream."""
    first_version: int
    """Where it began before."""
    wanted: int
    """Where it would begin by its policy, as far as snapshots cover it."""
    kept: int
    """Where it begins now; below `wanted` if a target still has to read what is between, if something
    failed, or in a dry run."""
    error: Exception | None = None
    """What failed; None if nothing did."""


class RetentionWorker:
    """Cuts off what policies do not keep, at most 1,000 events in a transaction.

    With an archive, events are written to it and verified, the archive is recorded with the stream,
    and only then are they cut off. It can be stopped at any moment and run again, also by several
    processes at the same time.

    Args:
        store: The store.
        policies: What is kept, applied one after the other.
        interval: How long `run` waits after each round.
        clock: What time it is, for `max_age`, and how to wait.

    Raises:
        TypeError: A setting is of another type.
        ValueError: `policies` is empty, or `interval` not above zero.
    """

    def __init__(
        self,
        store: IRetentionStore,
        *,
        policies: Sequence[RetentionPolicy],
        interval: timedelta = timedelta(hours=1),
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._store = store
        for policy in policies:
            check_instance(policy, kind=RetentionPolicy, name="policies")
        if not policies:
            raise ValueError("policies must not be empty")
        self._policies = tuple(policies)
        self._interval = check_duration(interval, name="interval", above_zero=True)
        self._clock = check_clock(clock)

    async def run(self) -> NoReturn:
        """Run rounds until it is cancelled. What fails is logged, and tried again in the next one."""
        while True:
            try:
                await self.run_once()
            except EventStoreError:
                _logger.warning("a round of retention failed", exc_info=True)
            await self._clock.sleep(self._interval)

    async def run_once(self, *, dry_run: bool = False) -> list[StreamCut]:
        """Apply the policies once. What fails for one stream does not stop the others.

        Args:
            dry_run: Whether only to say what would be cut off.

        Returns:
            The streams that have more than their policy keeps.

        Raises:
            TypeError: `dry_run` is not a bool.
            StoreFailure: Streams cannot be listed.
        """
        check_flag(dry_run, name="dry_run")
        cuts: list[StreamCut] = []
        for policy in self._policies:
            async for head in self._store.streams(prefix=policy.stream_prefix):
                cut = await self._apply(policy, head, dry_run=dry_run)
                if cut.error is not None:
                    _logger.warning("stream %r was not cut off", head.stream, exc_info=cut.error)
                if cut.error is not None or cut.wanted > cut.first_version:
                    cuts.append(cut)
        return cuts

    async def _apply(
        self, policy: RetentionPolicy, head: StreamHead, *, dry_run: bool
    ) -> StreamCut:
        first = wanted = kept = head.first_version
        problem: Exception | None = None
        try:
            wanted = await self._wanted(policy, head)
            if wanted > first and not dry_run:
                if policy.archive is not None:
                    await policy.archive.record(self._store, head.stream, upto=wanted - 1)
                while kept < wanted:
                    reached = await self._store.truncate(
                        head.stream,
                        before=min(kept + _ROWS, wanted),
                        snapshot=policy.snapshot_kind is not None,
                    )
                    if reached <= kept:
                        break  # a target still has to read what follows
                    kept = reached
        except (EventStoreError, ValueError, OSError) as error:
            problem = error
        return StreamCut(
            stream=head.stream, first_version=first, wanted=wanted, kept=kept, error=problem
        )

    async def _wanted(self, policy: RetentionPolicy, head: StreamHead) -> int:
        """Return the first version that a policy keeps of a stream."""
        most = head.version + 1
        if policy.snapshot_kind is not None:
            snapshot = await self._store.latest_snapshot(head.stream, kind=policy.snapshot_kind)
            most = min(most, 0 if snapshot is None else snapshot.version + 1)
        wanted = head.first_version
        if policy.max_count is not None:
            wanted = max(wanted, min(head.version + 1 - policy.max_count, most))
        if policy.max_age is not None:
            oldest = self._clock.now() - policy.max_age
            if head.created < oldest and wanted < most:
                async for event in self._store.read(head.stream, after=wanted - 1, upto=most - 1):
                    if event.created >= oldest:
                        break
                    wanted = event.version + 1
        return wanted
