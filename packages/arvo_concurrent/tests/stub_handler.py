"""Handlers whose behaviour a test chooses, and which record the events they get."""

from collections.abc import Awaitable, Callable

from opentelemetry.context import Context
from typing_extensions import override

from arvo_core import ArvoEvent
from arvo_event_handler import IArvoEventHandler

ONE = "com.svc.one"
TWO = "com.svc.two"
APP = "com.app.main"


class StubHandler(IArvoEventHandler):
    """Runs a function, and records the ids of the events it gets, in order.

    Args:
        act: Called with each event; None emits nothing.
        source: The topic of the handler.
        stateful: The value of its attribute.
    """

    def __init__(
        self,
        act: Callable[[ArvoEvent], Awaitable[list[ArvoEvent]]] | None = None,
        *,
        source: str = ONE,
        stateful: bool = False,
    ) -> None:
        self._act = act
        self._source = source
        self._stateful = stateful
        self.tried: list[str] = []
        self.running = 0
        self.most_at_once = 0

    @property
    @override
    def source(self) -> str:
        return self._source

    @property
    @override
    def stateful(self) -> bool:
        return self._stateful

    @override
    async def execute(self, event: ArvoEvent, *, parent: Context | None = None) -> list[ArvoEvent]:
        self.tried.append(event.id)
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        try:
            return [] if self._act is None else await self._act(event)
        finally:
            self.running -= 1


def event(
    id: str, *, to: str = ONE, source: str = APP, subject: str = "s", domain: str | None = None
) -> ArvoEvent:
    return ArvoEvent.create(
        id=id, type=to, to=to, source=source, subject=subject, domain=domain, data={}
    )


def emitted(
    cause: ArvoEvent, index: int = 0, *, to: str | None = None, domain: str | None = None
) -> ArvoEvent:
    """Return an event that a handler emits for `cause`; without `to`, an answer to its sender."""
    return ArvoEvent.create(
        id=f"{cause.id}>{index}",
        type="evt.svc.done" if to is None else to,
        to=to or cause.source,
        source=cause.to or ONE,
        subject=cause.subject,
        parentid=cause.id,
        domain=domain,
        data={},
    )


def answering(count: int = 1) -> StubHandler:
    """Return a handler that answers each event `count` times."""

    async def act(cause: ArvoEvent) -> list[ArvoEvent]:
        return [emitted(cause, index) for index in range(count)]

    return StubHandler(act)


def failing(times: int, error: Exception, *, stateful: bool = False) -> StubHandler:
    """Return a handler that fails `times` times, over all events, and then answers."""

    async def act(cause: ArvoEvent) -> list[ArvoEvent]:
        if len(handler.tried) <= times:
            raise error
        return [emitted(cause)]

    handler = StubHandler(act, stateful=stateful)
    return handler
