"""Several workers for one workflow, each of which loses its lease to the next in every step."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from pydantic import BaseModel

from arvo_core import (
    ArvoEvent,
    ArvoEventFactory,
    ArvoOrchestratorContract,
    ArvoOrchestratorEventFactory,
    OrchestratorVersion,
    SimpleArvoContract,
    SimpleVersion,
)
from arvo_event_handler import (
    ArvoResumable,
    Complete,
    Emit,
    ExecutionPolicy,
    IMachineMemory,
    Reply,
    Start,
    Step,
    TransactionViolation,
    TransactionViolationCause,
)
from arvo_time import Clock

PassTime: TypeAlias = Callable[[], Awaitable[object]]
"""Lets the time of a step pass, which is longer than its lease."""


class _Count(BaseModel):
    numbers: int


class _Number(BaseModel):
    number: int


class _Progress(BaseModel):
    total: int
    numbers: list[int] = []


class _Counted(BaseModel):
    numbers: list[int]


_NUMBER = SimpleVersion("1.0.0", accepts=_Number, emits=_Number)
_NUMBERS = SimpleArvoContract(uri="#/suite/number", type="suite.number", versions=[_NUMBER])
_COUNT = OrchestratorVersion("1.0.0", init=_Count, complete=_Counted)
_COUNTING = ArvoOrchestratorContract(uri="#/suite/count", name="suite.count", versions=[_COUNT])


class OvertakenWorkers:
    """Workers that hand events to one workflow, each over a client of the same memory.

    A step takes the time of `pass_time`. It does not end before another worker has begun a step of
    its own, with the lease that expired meanwhile, as long as one may do so. So all commits but the
    last ones come from workers whose lease another one holds by then.

    Args:
        memories: One for each worker.
        pass_time: What a step does.
        clock: The clock by which leases are renewed while a step runs.
    """

    def __init__(
        self, memories: Sequence[IMachineMemory], *, pass_time: PassTime, clock: Clock
    ) -> None:
        self.steps = 0
        """Number of calls of the workflow's function."""
        self._pass_time = pass_time
        # Its holder may begin a step: the step before has outlasted its lease.
        self._turn = asyncio.Semaphore(1)
        self._news = asyncio.Condition()
        # Number of workers that may begin a step, now or after their current one.
        self._able = 0
        self._max_steps = 0
        self._time_error: Exception | None = None
        self._workers = [_Worker(self, memory, clock=clock) for memory in memories]

    @property
    def count(self) -> int:
        """Number of workers."""
        return len(self._workers)

    async def handle(self, events: Sequence[ArvoEvent], *, steps: int) -> list[ArvoEvent]:
        """Handle all events; one that met contention is handled again until it is done.

        Args:
            events: The events, all of one workflow.
            steps: Maximum number of steps for all of them.

        Returns:
            The events to publish.

        Raises:
            AssertionError: It took more steps.
            Exception: The first exception of `pass_time`.
        """
        left = deque(events)
        self._max_steps = self.steps + steps
        self._able = self.count
        working = [asyncio.ensure_future(worker.handle(left)) for worker in self._workers]
        try:
            published = await asyncio.gather(*working)
        finally:
            for task in working:
                task.cancel()
            await asyncio.gather(*working, return_exceptions=True)
            # Workflows turn what their code raises into something else.
            if self._time_error is not None:
                raise self._time_error
        return [event for events in published for event in events]

    async def wait_for_turn(self) -> None:
        """Wait until the step before has outlasted its lease.

        Raises:
            AssertionError: There were too many steps, or time cannot pass.
        """
        await self._turn.acquire()
        try:
            self.check()
        except AssertionError:
            self._turn.release()
            raise

    def give_turn_up(self) -> None:
        """Let another worker begin, after a turn that led to no step."""
        self._turn.release()

    async def take_time(self) -> None:
        """Outlast the lease, and let another worker overtake this one.

        Raises:
            Exception: What `pass_time` raised.
        """
        self.steps += 1
        mine = self.steps
        await self.leave()
        try:
            await self._pass_time()
        except Exception as error:
            self._time_error = self._time_error or error
            raise
        finally:
            self._turn.release()
        async with self._news:
            await self._news.wait_for(lambda: self.steps > mine or not self._able)
        self._able += 1

    def check(self) -> None:
        """Check that it makes sense to go on.

        Raises:
            AssertionError: There were too many steps, or time cannot pass.
        """
        assert self._time_error is None, "time could not pass"
        assert self.steps <= self._max_steps, (
            f"after {self.steps} steps not all is stored: the first commit over what was loaded "
            "must stand, regardless of who holds the lease by then"
        )

    async def leave(self) -> None:
        """Begin no step, for the moment or for good."""
        self._able -= 1
        async with self._news:
            self._news.notify_all()


class _Worker:
    def __init__(self, workers: OvertakenWorkers, memory: IMachineMemory, *, clock: Clock) -> None:
        self._workers = workers
        self._began = False
        self._workflow = ArvoResumable(
            contract=_COUNTING,
            services=[_NUMBERS.version(_NUMBER)],
            memory=memory,
            handler={"1.0.0": self._count},
            requires_resource_locking=True,
            policy=ExecutionPolicy(clock=clock),
        )

    async def handle(self, left: deque[ArvoEvent]) -> list[ArvoEvent]:
        """Handle what is left, and put back what met contention."""
        published: list[ArvoEvent] = []
        while left:
            event = left.popleft()
            await self._workers.wait_for_turn()
            self._began = False
            try:
                published += await self._workflow.execute(event)
            except TransactionViolation as violation:
                if not violation.cause.is_contention:
                    raise
                if violation.cause is TransactionViolationCause.LOCK_UNACQUIRED:
                    raise AssertionError("an expired lease must be free") from violation
                left.append(event)
            if not self._began:
                self._workers.give_turn_up()
            self._workers.check()
        await self._workers.leave()
        return published

    async def _count(self, call: Start[_Count] | Reply[_Progress]) -> Step[_Progress]:
        self._began = True
        await self._workers.take_time()
        if isinstance(call, Start):
            requests = [
                Emit(_NUMBERS.type, _Number(number=number)) for number in range(call.data.numbers)
            ]
            return Step(context=_Progress(total=call.data.numbers), services=requests)
        numbers = [*call.context.numbers, call.data.number]
        if len(numbers) < call.context.total:
            return Step(context=_Progress(total=call.context.total, numbers=numbers))
        return Step(output=Complete(_Counted(numbers=numbers)))


def start(numbers: int) -> ArvoEvent:
    """Return the event that starts a workflow which asks for this many numbers."""
    factory = ArvoOrchestratorEventFactory(_COUNTING.version(_COUNT))
    return factory.init(source="com.suite.main", data=_Count(numbers=numbers))


def reply(request: ArvoEvent) -> ArvoEvent:
    """Return the answer to one of the workflow's requests: the number in it."""
    return ArvoEventFactory(_NUMBERS.version(_NUMBER)).emits(
        type="evt.suite.number.success",
        source=request.type,
        subject=request.subject,
        parentid=request.id,
        to=request.source,
        data=_Number(number=request.data["number"]),
    )
