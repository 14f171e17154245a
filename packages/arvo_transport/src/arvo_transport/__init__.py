"""Events between processes, over engines that teams run already.

`DistributedEventBroker` runs handlers on the events of an `IEventTransport`. `connect_transport(url)`
opens one: packages such as arvo-transport-redis register their schemes. `InMemoryTransport` is the
reference, for tests and simulations.
"""

from ._capabilities import TransportCapabilities
from ._connect import connect_transport
from ._delivery_id import delivery_id
from ._distributed import DeadLetterReply, DistributedEventBroker, WorkerState
from ._errors import (
    AnswersNothingError,
    DeliveryLostError,
    EventTooLargeError,
    SettleRefusedError,
    TopicConflictError,
    TopicFullError,
    TransportClosedError,
    TransportError,
    UnknownTopicError,
    UnknownTransportError,
)
from ._in_memory import InMemoryEngine, InMemoryTransport
from ._publisher import Publisher
from ._settlement import Dead, Done, Later, Output, Received, Settlement
from ._topic import (
    DOOR,
    TopicDepth,
    TopicKind,
    TopicSpec,
    TopicState,
    address_of,
    domain_topic,
    partition_of,
    topic_of_output,
)
from ._transport import IAnswerBox, IAnsweringTransport, IEventInbox, IEventTransport

__all__ = [
    "DOOR",
    "AnswersNothingError",
    "Dead",
    "DeadLetterReply",
    "DeliveryLostError",
    "DistributedEventBroker",
    "Done",
    "EventTooLargeError",
    "IAnswerBox",
    "IAnsweringTransport",
    "IEventInbox",
    "IEventTransport",
    "InMemoryEngine",
    "InMemoryTransport",
    "Later",
    "Output",
    "Publisher",
    "Received",
    "SettleRefusedError",
    "Settlement",
    "TopicConflictError",
    "TopicDepth",
    "TopicFullError",
    "TopicKind",
    "TopicSpec",
    "TopicState",
    "TransportCapabilities",
    "TransportClosedError",
    "TransportError",
    "UnknownTopicError",
    "UnknownTransportError",
    "WorkerState",
    "address_of",
    "connect_transport",
    "delivery_id",
    "domain_topic",
    "partition_of",
    "topic_of_output",
]
