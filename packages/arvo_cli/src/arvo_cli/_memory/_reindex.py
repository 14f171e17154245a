"""`arvo memory reindex`: makes the index of workflows anew."""

import asyncio
from dataclasses import dataclass

from arvo_cli._backend._memory_url import memory_for
from arvo_cli._errors import INTERRUPTED
from arvo_cli._terminal._confirm import confirm
from arvo_cli._terminal._printable import say
from arvo_event_handler.memory import IWorkflowIndex


@dataclass(frozen=True, slots=True, kw_only=True)
class ReindexJob:
    """The options of `arvo memory reindex`."""

    memory: str
    """The memory's URL."""
    yes: bool
    """Whether not to ask."""

    def run(self) -> int:
        """Make the index anew, and return the exit status.

        Raises:
            CommandError: The memory cannot be reached, or the user does not want it.
        """
        try:
            asyncio.run(self._run())
        except KeyboardInterrupt:
            say("interrupted; run it again")
            return INTERRUPTED
        return 0

    async def _run(self) -> None:
        async with memory_for("reindex", self.memory) as memory:
            if not isinstance(memory, IWorkflowIndex):
                say("this memory keeps no index apart from its workflows; there is nothing to do")
                return
            confirm("the index of workflows is made anew; go on?", yes=self.yes)
            count = await memory.reindex()
        say(f"the index has {count} {'workflow' if count == 1 else 'workflows'}")
