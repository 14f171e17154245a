"""The workload of buying and paying."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from random import Random
from typing import Final

from typing_extensions import override

from arvo_core import ArvoEvent
from arvo_event_handler import ExecutionPolicy, IArvoEventHandler, IMachineMemory

from ._contracts import BUY, PAY
from ._expected import answer_of, init_of, ledger_of
from ._handlers import create_handlers
from ._ledger import Ledger
from ._workload import Workload


class Shopping(Workload):
    """Even workflows buy, odd ones pay; each has one right answer."""

    @property
    @override
    def sources(self) -> Sequence[str]:
        return [BUY.type, PAY.type]

    @override
    def init_of(self, workflow: int) -> ArvoEvent:
        return init_of(workflow)

    @override
    def create_handlers(
        self,
        memory: IMachineMemory,
        *,
        ledger: Ledger,
        think: timedelta,
        policy: ExecutionPolicy,
        random: Random,
    ) -> list[IArvoEventHandler]:
        return create_handlers(memory, ledger=ledger, think=think, policy=policy, random=random)

    @override
    def complaint(self, workflow: int, answer: ArvoEvent) -> str | None:
        right = answer_of(workflow)
        return None if answer.data == right else f"{answer.type} {answer.data}, not {right}"

    @override
    def sums(self, workflows: int, answers: Mapping[int, ArvoEvent]) -> Counter[str]:
        return ledger_of(workflows)


SHOPPING: Final = Shopping()
"""The only one."""
