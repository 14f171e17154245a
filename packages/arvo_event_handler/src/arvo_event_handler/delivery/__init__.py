"""How one event is tried: what brokers are made of.

A `HandlerRunner` makes one try and *decides*: its `Verdict` says what to publish, when to try
again, or that the event is dead. The broker *carries out*: it knows where events come from and go
to. `Topic` holds the events of one handler, in lanes by subject, and the workers that take them on;
`Listeners` report to the broker's owner; `Lifecycle` is how it begins and ends.

`HandlerConfig`, `Middleware` and `DeadLetter` are for users of a broker, everything else is for
authors of one.
"""

from arvo_event_handler._emission._delayed_output import DelayedOutput
from arvo_event_handler._emission._emit import PARTITION_KEY
from arvo_event_handler._timer_event import timer_event

from ._contention import CONTENTION_TIMEOUT, Contention
from ._dead_letter import DeadLetter, DeadLetterListener, DeadLetterReason, dead_letter_reply
from ._dead_letter_box import DeadLetterBox, IDeadLetters, Republish
from ._dead_letter_log import log_dead_letter
from ._errors import BrokerClosedError, endless_wait
from ._failed_try import ErrorListener, ErrorResponse, FailedTry
from ._guarded_call import guarded_call
from ._handler_config import HandlerConfig, HandlerDefaults
from ._handler_runner import HandlerRunner
from ._handler_table import HandlerTable
from ._lifecycle import DEFAULT_GRACE, BrokerState, Endable, Lifecycle
from ._listeners import (
    BrokerErrorListener,
    DomainedEventListener,
    ListenerCall,
    Listeners,
    OwnerFunctions,
    Publish,
    UnclaimedListener,
)
from ._middleware import Bulk, BulkFunction, InputMiddleware, Middleware, OutputMiddleware
from ._ordering import Order, ordering_key
from ._rate import Rate
from ._seats import Handling, Seats, asking, current_handling, handled_by, holds
from ._stats import BrokerStats, HasStats, TopicStats
from ._stored_letter import LetterError, StoredLetter
from ._telemetry import count_retry
from ._timer_pump import TICKS_TOGETHER, PublishTick, Room, TimerPump
from ._topic import Topic, stop_topics
from ._trial import Trial
from ._verdict import GiveUp, Handled, TryAgain, Verdict

__all__ = [
    "CONTENTION_TIMEOUT",
    "DEFAULT_GRACE",
    "PARTITION_KEY",
    "TICKS_TOGETHER",
    "BrokerClosedError",
    "BrokerErrorListener",
    "BrokerState",
    "BrokerStats",
    "Bulk",
    "BulkFunction",
    "Contention",
    "DeadLetter",
    "DeadLetterBox",
    "DeadLetterListener",
    "DeadLetterReason",
    "DelayedOutput",
    "DomainedEventListener",
    "Endable",
    "ErrorListener",
    "ErrorResponse",
    "FailedTry",
    "GiveUp",
    "Handled",
    "HandlerConfig",
    "HandlerDefaults",
    "HandlerRunner",
    "HandlerTable",
    "Handling",
    "HasStats",
    "IDeadLetters",
    "InputMiddleware",
    "LetterError",
    "Lifecycle",
    "ListenerCall",
    "Listeners",
    "Middleware",
    "Order",
    "OutputMiddleware",
    "OwnerFunctions",
    "Publish",
    "PublishTick",
    "Rate",
    "Republish",
    "Room",
    "Seats",
    "StoredLetter",
    "TimerPump",
    "Topic",
    "TopicStats",
    "Trial",
    "TryAgain",
    "UnclaimedListener",
    "Verdict",
    "asking",
    "count_retry",
    "current_handling",
    "dead_letter_reply",
    "endless_wait",
    "guarded_call",
    "handled_by",
    "holds",
    "log_dead_letter",
    "ordering_key",
    "stop_topics",
    "timer_event",
]
