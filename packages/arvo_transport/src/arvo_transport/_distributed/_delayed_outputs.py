"""Publishes what stateless handlers emit for later."""

from collections.abc import Sequence

from arvo_event_handler import ConfigViolation, UnroutableError
from arvo_event_handler.delivery import DeadLetter, DeadLetterReason, DelayedOutput
from arvo_transport._topic import TopicState, address_of
from arvo_transport._transport import IEventTransport


class DelayedOutputs:
    """Publishes outputs with the delay of a transport.

    Args:
        transport: Where they go.
    """

    def __init__(self, transport: IEventTransport) -> None:
        self._transport = transport

    async def publish(
        self, outputs: Sequence[DelayedOutput], *, again: str
    ) -> Sequence[DeadLetter]:
        """Store outputs, before the event that led to them is settled.

        A worker that dies in between leaves them stored, and the event to another, which stores them
        again: with the same ids, so that the engine may drop the repetition.

        Args:
            outputs: The outputs; all of them can be published, or none is.
            again: Names the copy on purpose that led to them.

        Returns:
            Those to a topic that nobody has declared, as dead letters.

        Raises:
            ConfigViolation: One goes to a topic that takes no events for later.
            TransportError: The engine failed; publishing the same again is right.
        """
        topics = {topic.name: topic for topic in await self._transport.topics()}
        for output in outputs:
            _check_topic(output, topics.get(address_of(output.event)))
        letters: list[DeadLetter] = []
        for output in outputs:
            try:
                await self._transport.publish([output.event], at=output.at, again=again)
            except UnroutableError as error:
                letters.append(_unroutable(output, error))
            except ValueError as error:
                # It was laid out anew since the look.
                raise _refusal(output, str(error)) from error
        return letters


def _check_topic(output: DelayedOutput, topic: TopicState | None) -> None:
    if topic is None:
        return
    if topic.kind == "answers":
        raise _refusal(
            output, f"{topic.name!r} is the address of a client, which has answers at once"
        )
    if topic.order != "none":
        raise _refusal(output, f"the topic {topic.name!r} has the order {topic.order!r}")


def _refusal(output: DelayedOutput, why: str) -> ConfigViolation:
    event = output.event
    return ConfigViolation(
        f"{event.source} emits {event.type} for later, and {why}: only topics without order take such "
        "events; answer at once, and let the workflow that asks set a timer"
    )


def _unroutable(output: DelayedOutput, error: UnroutableError) -> DeadLetter:
    return DeadLetter(
        event=output.event,
        error=error,
        attempts=0,
        handler=address_of(output.event),
        reason=DeadLetterReason.UNROUTABLE,
    )
