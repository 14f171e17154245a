"""Finds the workflows of a broker's memories that were interrupted, and what they still owe."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from datetime import timedelta
from random import Random
from typing import Final, TypeAlias

from arvo_core import ArvoEvent
from arvo_event_handler import ConfigViolation, IWorkflowHandler, TransactionViolation
from arvo_event_handler.delivery import Contention
from arvo_event_handler.memory import IWorkflowQueries, StoredWorkflow, WorkflowQuery
from arvo_time import Clock

RecoveryErrorListener: TypeAlias = Callable[[StoredWorkflow, Exception], Awaitable[None]]
"""Awaited for a workflow that cannot go on, with the reason."""

_AT_ONCE: Final = 8
"""How many workflows are read at the same time."""
_PAGE: Final = 200
"""How many workflows are listed at once."""
_ACTIVE: Final = WorkflowQuery(status=frozenset({"active"}))


class Recovery:
    """One pass over the active workflows of some handlers.

    Args:
        handlers: The handlers.
        publish: Sends what a workflow owes.
        on_error: Awaited for a workflow that cannot be read.
        contention_timeout: How long to try for a workflow that others handle.
        clock: For the pauses between these tries.
        random: For their jitter.

    Raises:
        ConfigViolation: The memory of a handler cannot list its workflows.
    """

    def __init__(
        self,
        handlers: Iterable[IWorkflowHandler],
        *,
        publish: Callable[[StoredWorkflow, list[ArvoEvent]], Awaitable[None]],
        on_error: RecoveryErrorListener,
        contention_timeout: timedelta,
        clock: Clock,
        random: Random,
    ) -> None:
        self._publish = publish
        self._on_error = on_error
        self._contention_timeout = contention_timeout
        self._clock = clock
        self._random = random
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._count = 0
        # Handlers often share a memory, which is asked once.
        self._memories: dict[int, tuple[IWorkflowQueries, dict[str, IWorkflowHandler]]] = {}
        for handler in handlers:
            memory = handler.memory
            if not isinstance(memory, IWorkflowQueries):
                raise ConfigViolation(
                    f"handler {handler.source!r}: its workflows cannot be recovered, since its "
                    f"memory ({type(memory).__name__}) does not implement IWorkflowQueries; "
                    "publish their init events again, with redelivered=True"
                )
            self._memories.setdefault(id(memory), (memory, {}))[1][handler.source] = handler

    async def run(self) -> int:
        """Go on with the workflows, oldest first; return with how many.

        Raises:
            Exception: A memory could not be asked, or what a workflow owes not be published.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                for memory, handlers in self._memories.values():
                    async for workflow in _active(memory):
                        handler = handlers.get(workflow.source)
                        if handler is not None:
                            await self._slots.acquire()
                            tasks.create_task(self._go_on(workflow, handler))
        except ExceptionGroup as group:
            raise group.exceptions[0] from None
        return self._count

    async def _go_on(self, workflow: StoredWorkflow, handler: IWorkflowHandler) -> None:
        """Go on with one workflow, in a slot that was given to it."""
        contention = Contention(
            timeout=self._contention_timeout, clock=self._clock, random=self._random
        )
        while True:
            try:
                outputs = await handler.owed(workflow.subject)
            except Exception as error:
                pause = None
                if isinstance(error, TransactionViolation) and error.cause.is_contention:
                    pause = contention.pause_after(error)
                self._slots.release()
                if pause is None:
                    await self._on_error(workflow, error)
                    return
                # The process that died may hold it until its lease expires; others go on meanwhile.
                await self._clock.sleep(pause)
                await self._slots.acquire()
            else:
                break
        try:
            if outputs:
                await self._publish(workflow, outputs)
                self._count += 1
        finally:
            self._slots.release()


async def _active(memory: IWorkflowQueries) -> AsyncIterator[StoredWorkflow]:
    """Yield the workflows of a memory that have not ended, oldest first."""
    after: str | None = None
    while True:
        page = await memory.workflows(_ACTIVE, after=after, limit=_PAGE, oldest_first=True)
        for workflow in page.workflows:
            yield workflow
        after = page.next
        if after is None:
            return
