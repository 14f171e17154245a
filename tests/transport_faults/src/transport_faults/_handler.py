"""A handler that books what it does."""

import asyncio
import os
import signal

from opentelemetry.context import Context
from typing_extensions import override

from arvo_core import ArvoContract, ArvoEvent
from arvo_event_handler import IArvoEventHandler

from ._events import number_of, output_of
from ._ledger import Ledger
from ._roles import Role


class BookingHandler(IArvoEventHandler):
    """Does as its role says."""

    def __init__(self, role: Role, *, ledger: Ledger) -> None:
        self._role = role
        self._ledger = ledger

    @property
    @override
    def source(self) -> str:
        return self._role.topic

    @property
    @override
    def stateful(self) -> bool:
        return self._role.ordered

    @property
    @override
    def contract(self) -> ArvoContract | None:
        return None

    @override
    async def execute(self, event: ArvoEvent, *, parent: Context | None = None) -> list[ArvoEvent]:
        self._ledger.book("begun", event)
        if number_of(event) in self._role.killers:
            os.kill(os.getpid(), signal.SIGKILL)
        await asyncio.sleep(self._role.seconds)
        self._ledger.book("ended", event)
        return [output_of(event)] if self._role.emits else []
