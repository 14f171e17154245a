"""The worker: runs reactions over a store."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from random import Random
from types import TracebackType
from typing import Self

from arvo_event_store._names import check_name
from arvo_event_store.stores import check_reactions
from arvo_time import SYSTEM_CLOCK, SYSTEM_RANDOM, Clock
from arvo_time.logs import bounded_logger
from arvo_time.settings import (
    check_async,
    check_clock,
    check_duration,
    check_flag,
    check_instance,
    check_random,
)

from ._acknowledgement import IWorkerStore
from ._engine import Engine
from ._event_consumer import EventConsumer
from ._failure import ErrorListener, ReactionFailure
from ._lane import Lane
from ._worker_stats import WorkerHealth, WorkerStats

_logger = bounded_logger("arvo_event_store")


class ReactionWorker:
    """Runs reactions for as long as its block lasts; any number of workers may run the same ones.

    A handler runs at least once for each event; what it stages is stored once. Whatever dies, other
    workers go on. When the block ends, nothing more is claimed, handlers may go on for `grace`, and are
    cancelled then; what was taken is given back.

    Args:
        store: The store.
        group: The group: the reactions that are deployed together, and what is kept of them.
        reactions: What to run.
        lanes: The limits of lanes, by name. "default" has those of `Lane()` unless it is given.
        poll: How often to look for work when the store does not say that there is some.
        grace: How long handlers may go on when the block ends.
        clock: What time it is, and how to wait.
        on_error: An `async def` function that is told of each try that failed; None logs them. What
            it raises is logged.
        redefine: Whether a reaction that is registered with another definition takes that of this
            worker; workers with the old one stop.
        random: Spreads pauses.

    Raises:
        TypeError: A setting is of another type; the message names the reaction if it is one's.
        ValueError: There are no reactions, two of one name, or one in an unknown lane; `poll` is not
            above zero, or a duration negative.
        InvalidEventError: A name breaks the rules for names.

    Example:
        >>> import asyncio
        >>> from arvo_event_store import MemoryEventStore, NewEvent
        >>> async def praise(call: ReactionCall[Event]) -> None:
        ...     print(call.event.stream, call.data.data)
        >>> async def main() -> None:
        ...     async with MemoryEventStore() as store:
        ...         await store.append("counter-a", [NewEvent("Added", {"amount": 7})])
        ...         praises = Reaction(name="praise", on=[Event], handler=praise)
        ...         await ReactionWorker(store, group="demo", reactions=[praises]).settle()
        >>> asyncio.run(main())
        counter-a {'amount': 7}
    """

    def __init__(
        self,
        store: IWorkerStore,
        *,
        group: str,
        reactions: Sequence[EventConsumer],
        lanes: Mapping[str, Lane] | None = None,
        poll: timedelta = timedelta(seconds=1),
        grace: timedelta = timedelta(seconds=10),
        clock: Clock = SYSTEM_CLOCK,
        on_error: ErrorListener | None = None,
        redefine: bool = False,
        random: Random = SYSTEM_RANDOM,
    ) -> None:
        self._store = store
        self._group = check_name(group, path="group")
        self._lanes = _checked_lanes(lanes)
        self._consumers = _checked_consumers(reactions, group=group, lanes=self._lanes)
        self._poll = check_duration(poll, name="poll", above_zero=True)
        self._grace = check_duration(grace, name="grace")
        self._clock = check_clock(clock)
        if on_error is not None:
            check_async(on_error, name="on_error")
        self._on_error = on_error
        self._redefine = check_flag(redefine, name="redefine")
        self._random = check_random(random)
        self._stats = WorkerStats()
        self._troubles: dict[str, str] = {}
        self._engine: Engine | None = None

    async def __aenter__(self) -> Self:
        """Register the reactions, and begin.

        Raises:
            RuntimeError: It runs already.
            ReactionChangedError: A reaction is registered with another definition.
            StoreFailure: The database failed, or the store is closed.
        """
        if self._engine is not None:
            raise RuntimeError("this worker runs already")
        engine = self._engine = self._new_engine()
        try:
            await self._store.register(
                self._group,
                [each.spec for each in self._consumers],
                redefine=self._redefine,
            )
        except BaseException:
            self._engine = None
            raise
        engine.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop: see the class.

        Raises:
            ReactionChangedError: A reaction was registered with another definition meanwhile, which
                ended the block.
        """
        engine = self._engine
        if engine is None:
            raise RuntimeError("this worker does not run")
        try:
            await engine.stop()
        finally:
            self._engine = None
            self._troubles.clear()
        if engine.error is not None:
            raise engine.error

    async def settle(self) -> None:
        """Wait until nothing is due: all events are scanned, and no target has work but later.

        Outside of a block it runs the reactions for as long as that takes. What other workers have in
        hand is not waited for.

        Raises:
            ReactionChangedError: A reaction is registered with another definition.
            StoreFailure: The store failed, and will not work again by itself.
        """
        if self._engine is None:
            async with self:
                await self.settle()
        else:
            await self._engine.settle()

    def health(self) -> WorkerHealth:
        """Return how it is: "down" outside of its block, and while it cannot look for work."""
        if self._engine is None:
            return WorkerHealth(status="down", reasons=("it does not run",))
        if not self._troubles:
            return WorkerHealth(status="ok")
        return WorkerHealth(
            status="down" if "looking for work" in self._troubles else "degraded",
            reasons=tuple(self._troubles.values()),
        )

    def stats(self) -> WorkerStats:
        """Return what it did since it was made."""
        return replace(self._stats)

    def _new_engine(self) -> Engine:
        return Engine(
            self._store,
            group=self._group,
            consumers=self._consumers,
            lanes=self._lanes,
            poll=self._poll,
            grace=self._grace,
            clock=self._clock,
            random=self._random,
            report=self._report,
            stats=self._stats,
            troubles=self._troubles,
        )

    async def _report(self, failure: ReactionFailure) -> None:
        if self._on_error is None:
            _logger.warning(
                "reaction %r of group %r: %s: event %d of target %r failed %d times",
                *(failure.reaction, failure.group, failure.outcome, failure.position),
                *(failure.key, failure.failed),
                exc_info=failure.error,
            )
            return
        try:
            await self._on_error(failure)
        except Exception:
            _logger.exception("on_error itself failed")


def _checked_lanes(lanes: Mapping[str, Lane] | None) -> Mapping[str, Lane]:
    checked = {"default": Lane()}
    if lanes is None:
        return checked
    check_instance(lanes, kind=Mapping, name="lanes")  # type: ignore[type-abstract]
    for name, lane in lanes.items():
        check_name(name, path="lanes")
        checked[name] = check_instance(lane, kind=Lane, name=f"lane {name!r}")
    return checked


def _checked_consumers(
    reactions: Sequence[EventConsumer], *, group: str, lanes: Mapping[str, Lane]
) -> Sequence[EventConsumer]:
    for each in reactions:
        check_instance(each, kind=EventConsumer, name="reactions")  # type: ignore[type-abstract]
        if each.spec.lane not in lanes:
            known = ", ".join(sorted(lanes))
            raise ValueError(
                f"reaction {each.name!r}: lane {each.spec.lane!r} is not one of {known}"
            )
    if not reactions:
        raise ValueError("reactions must not be empty")
    check_reactions([each.spec for each in reactions], group=group)
    return tuple(reactions)
