"""Who is told what when an event cannot be handled, or what came of it cannot be sent."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Literal, TypeAlias

from arvo_core import ArvoContract, ArvoEvent, ArvoEventFactory, SystemErrorData
from arvo_core.event_id import derive_id
from arvo_event_handler import IArvoEventHandler, IWorkflowHandler
from arvo_event_handler.delivery import DeadLetter, dead_letter_reply
from arvo_transport._topic import TopicState

DeadLetterReply: TypeAlias = Literal["clients", "all", "none"]
"""Which senders get a system error when their request becomes a dead letter."""


class Askers:
    """Tells clients, where somebody waits, from handlers, whose workflows do.

    Args:
        topics: Returns the registry of the transport.
    """

    def __init__(self, topics: Callable[[], Awaitable[Sequence[TopicState]]]) -> None:
        self._topics = topics

    async def clients_of(self, replies: Sequence[ArvoEvent]) -> Sequence[ArvoEvent]:
        """Return the replies that go to clients."""
        if not replies:
            return replies
        clients = {topic.name for topic in await self._topics() if topic.kind == "answers"}
        return [reply for reply in replies if reply.to in clients]


class Substitutes:
    """Makes the system errors that stand for outputs which can never be sent.

    Args:
        handler: What emits them; None for the door, which passes on what others emit.
    """

    def __init__(self, handler: IArvoEventHandler | None) -> None:
        self._own = None if handler is None else handler.contract
        self._asked: Mapping[str, ArvoContract] = {}
        if isinstance(handler, IWorkflowHandler):
            self._asked = {each.type: each.contract for each in handler.asked_services}

    def instead_of(self, letter: DeadLetter) -> Sequence[ArvoEvent]:
        """Return what whoever waits for the output of a letter gets instead.

        A workflow gets the error of the service that it could not ask, and an asker that of the
        handler, instead of its answer.
        """
        output = letter.event
        asked = self._asked.get(output.type)
        if asked is not None:
            return dead_letter_reply(letter, contract=asked)
        if self._own is None or output.parentid is None or output.to is None:
            return []
        error = ArvoEventFactory(self._own.version("any")).system_error(
            id=derive_id("not sent", output.source, output.id),
            error=SystemErrorData.from_exception(letter.error, stack=False),
            source=self._own.type,
            subject=output.subject,
            to=output.to,
            parentid=output.parentid,
            traceparent=output.traceparent,
            tracestate=output.tracestate,
            accesscontrol=output.accesscontrol,
        )
        return [error]
