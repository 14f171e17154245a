"""What the workflows of a storm do, and what must come of it."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from random import Random

from arvo_core import ArvoEvent
from arvo_event_handler import ExecutionPolicy, IArvoEventHandler, IMachineMemory

from ._ledger import Ledger


class Workload(ABC):
    """Workflows, numbered from 0, and the services that they ask."""

    @property
    @abstractmethod
    def sources(self) -> Sequence[str]:
        """The addresses of all its workflows."""

    @abstractmethod
    def init_of(self, workflow: int) -> ArvoEvent:
        """Make the event that starts a root workflow."""

    @abstractmethod
    def create_handlers(
        self,
        memory: IMachineMemory,
        *,
        ledger: Ledger,
        think: timedelta,
        policy: ExecutionPolicy,
        random: Random,
    ) -> list[IArvoEventHandler]:
        """Return all handlers.

        Args:
            memory: Where the workflows' state lives.
            ledger: Where the services book.
            think: The longest pause within a step, so that kills hit steps.
            policy: How stored state is treated.
            random: Chooses the pauses.
        """

    @abstractmethod
    def complaint(self, workflow: int, answer: ArvoEvent) -> str | None:
        """Return what is wrong with a workflow's completion; None if it is right."""

    @abstractmethod
    def sums(self, workflows: int, answers: Mapping[int, ArvoEvent]) -> Counter[str]:
        """Return the sums in the ledger after so many workflows.

        Args:
            workflows: How many were started.
            answers: Their completions, by their numbers.
        """
