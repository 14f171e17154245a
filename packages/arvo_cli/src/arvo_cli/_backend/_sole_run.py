"""Keeps a memory to one process while handlers run over it without a transport."""

import hashlib
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from arvo_cli._errors import CommandError, one_line
from arvo_event_handler import (
    IArvoEventHandler,
    IMachineMemory,
    IWorkflowHandler,
    MachineMemoryError,
    MemoryInUseError,
)
from arvo_event_handler.memory import ILeasedMachineMemory, sole_process


@asynccontextmanager
async def sole_run(
    memory: IMachineMemory,
    handlers: Iterable[IArvoEventHandler],
    *,
    target: str,
    say: Callable[[str], None],
) -> AsyncIterator[None]:
    """Keep other runs of the same workflows away from the memory: they would do the same work.

    Raises:
        CommandError: One is going on.
    """
    sources = sorted(each.source for each in handlers if isinstance(each, IWorkflowHandler))
    if not sources or not isinstance(memory, ILeasedMachineMemory):
        yield
        return
    name = hashlib.sha256("\n".join(sources).encode()).hexdigest()[:12]
    wait = f"{target} may still run in another process over this memory; waiting for its end"
    async with AsyncExitStack() as held:
        try:
            await held.enter_async_context(
                sole_process(memory, name=name, on_wait=partial(say, wait))
            )
        except MemoryInUseError as error:
            raise CommandError(
                f"{target} runs in another process over this memory; wait for its end, or give "
                "another --memory"
            ) from error
        except MachineMemoryError as error:
            raise CommandError(f"cannot use the memory: {one_line(error)}") from error
        yield
