"""The topics of one broker: which there are, and how each is served."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from random import Random
from typing import Final

from arvo_event_handler import IArvoEventHandler
from arvo_event_handler.delivery import (
    DomainedEventListener,
    HandlerConfig,
    HandlerDefaults,
    HandlerRunner,
    HandlerTable,
    Middleware,
    Publish,
)
from arvo_time.settings import check_count
from arvo_transport._capabilities import TransportCapabilities
from arvo_transport._publisher import Publisher
from arvo_transport._topic import DOOR, TopicSpec, address_of, topic_of_output

from ._delayed_outputs import DelayedOutputs
from ._domains import DomainHandler
from ._door import Door
from ._replies import Askers, DeadLetterReply, Substitutes
from ._runner import IRunner
from ._served_topic import Limits, ServedTopic, Surroundings
from ._settling import Settling

_DOOR_HOLDS: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingOptions:
    """What applies to all topics of a broker."""

    capabilities: TransportCapabilities
    """The engine's."""
    defaults: HandlerDefaults
    """What applies where the config of a handler says nothing."""
    dead_letter_reply: DeadLetterReply
    """Who is told of dead letters where neither config nor defaults say."""
    max_waiting: Mapping[str, int] | int | None
    """How many events may wait in the topic of each handler, or in those of some by their source."""
    contention_timeout: timedelta
    """How long an event is tried again while others handle its workflow."""
    limits: Limits
    """When to stop to trust an event, or to keep it."""
    delayed: DelayedOutputs
    """Publishes what leaves later."""
    askers: Askers
    """Knows who is a client."""
    shared: Surroundings
    """What the topics share."""
    random: Random
    """For the jitter of pauses."""


class ServedTopics:
    """Makes the topics of one broker.

    Args:
        configs: The handlers.
        options: What applies to all topics.

    Raises:
        ConfigViolation: Two handlers have one source, or a handler without a contract is to reply
            to dead letters.
        TypeError: `max_waiting` is not a number, nor numbers by source.
        ValueError: A setting of a handler cannot be; or `max_waiting` is below 1, or for a handler
            that is not there.
    """

    def __init__(self, configs: Sequence[HandlerConfig], *, options: ServingOptions) -> None:
        self._options = options
        self._topics: HandlerTable[ServedTopic] = HandlerTable()
        sources = [config.handler.source for config in configs]
        self._max_waiting = _by_source(options.max_waiting, sources=sources)
        for config in configs:
            self._add(config)

    @property
    def all(self) -> list[ServedTopic]:
        """Those that were made, in order."""
        return [*self._topics.values()]

    def add_domain(self, domain: str, *, listener: DomainedEventListener, publish: Publish) -> None:
        """Serve the events of a domain.

        Args:
            domain: The domain.
            listener: Takes its events.
            publish: Publishes what the listener publishes after it has returned.
        """
        handler = DomainHandler(domain, listener=listener, publish=publish)
        config = HandlerConfig(handler, order="none", dead_letter_reply=False)
        # What stands between a broker and its handlers is not for listeners.
        settings = replace(
            config.settled(self._options.defaults), middleware=Middleware(), rate=None
        )
        self._serve(
            TopicSpec(handler.source, kind="domain"),
            handler=handler,
            runner=self._runner(handler, settings),
            settings=settings,
            replies="none",
            limits=self._limits(settings),
        )

    def add_door(self, publisher: Publisher) -> None:
        """Take events from outside to their topics."""
        settings = HandlerDefaults()
        limits = self._limits(settings)
        self._serve(
            TopicSpec(DOOR),
            handler=None,
            runner=Door(publisher, random=self._options.random),
            settings=settings,
            replies="none",
            # Those that wait for room in one topic must not close the door to all others.
            limits=replace(limits, hold_at_most=min(limits.hold_at_most, _DOOR_HOLDS)),
        )

    def _add(self, config: HandlerConfig) -> None:
        handler = config.handler
        settings = config.settled(self._options.defaults)
        order = settings.order or "none"
        if handler.stateful and order != "subject":
            raise ValueError(
                f"handler {handler.source!r} is stateful, and its workers need the order of its "
                f'subjects: order must be "subject", got {order!r}'
            )
        if order != "none" and not self._options.capabilities.ordered:
            raise ValueError(
                f"handler {handler.source!r} needs the order {order!r}, and the transport keeps none"
            )
        replies = self._replies_of(config)
        if config.dead_letter_reply is None:
            told = replies != "none" and handler.contract is not None
            settings = replace(settings, dead_letter_reply=told)
        self._serve(
            TopicSpec(
                handler.source, order=order, max_waiting=self._max_waiting.get(handler.source)
            ),
            handler=handler,
            runner=self._runner(handler, settings),
            settings=settings,
            replies=replies,
            limits=self._limits(settings),
        )

    def _serve(
        self,
        spec: TopicSpec,
        *,
        handler: IArvoEventHandler | None,
        runner: IRunner,
        settings: HandlerDefaults,
        replies: DeadLetterReply,
        limits: Limits,
    ) -> None:
        self._topics.check_free(spec.name)
        shared = self._options.shared
        settling = Settling(
            spec.name,
            runner=runner,
            # What a listener publishes comes from outside, whatever its domain says.
            topic_of=address_of if spec.kind == "domain" else topic_of_output,
            delayed=self._options.delayed,
            substitutes=Substitutes(handler),
            askers=self._options.askers if replies == "clients" else None,
            max_event_bytes=self._options.capabilities.max_event_bytes,
            listeners=shared.listeners,
            health=shared.health,
        )
        self._topics[spec.name] = ServedTopic(
            spec,
            runner=runner,
            settings=settings,
            settling=settling,
            limits=limits,
            shared=shared,
        )

    def _limits(self, settings: HandlerDefaults) -> Limits:
        limits = self._options.limits
        if not self._options.capabilities.counts_returns:
            return limits
        returns = settings.retry.retries
        return replace(
            limits,
            suspect_after=limits.suspect_after + returns,
            max_deliveries=limits.max_deliveries + returns,
        )

    def _runner(self, handler: IArvoEventHandler, settings: HandlerDefaults) -> IRunner:
        shared = self._options.shared
        return HandlerRunner(
            handler,
            settings=settings,
            contention_timeout=self._options.contention_timeout,
            clock=shared.clock,
            random=self._options.random,
            logger=shared.logger,
            among_others=True,
            longest_delay=self._options.capabilities.longest_delay,
        )

    def _replies_of(self, config: HandlerConfig) -> DeadLetterReply:
        if config.dead_letter_reply is not None:
            return "all" if config.dead_letter_reply else "none"
        options = self._options
        return "all" if options.defaults.dead_letter_reply else options.dead_letter_reply


def _by_source(
    max_waiting: Mapping[str, int] | int | None, *, sources: Sequence[str]
) -> Mapping[str, int]:
    """Return the limit of each handler that has one, by its source."""
    if max_waiting is None:
        return {}
    if not isinstance(max_waiting, Mapping):
        return dict.fromkeys(sources, check_count(max_waiting, name="max_waiting", least=1))
    for source, limit in max_waiting.items():
        if source not in sources:
            raise ValueError(
                f"max_waiting: no handler has the source {source!r}; there are {', '.join(sources)}"
            )
        check_count(limit, name=f"max_waiting[{source!r}]", least=1)
    return max_waiting
