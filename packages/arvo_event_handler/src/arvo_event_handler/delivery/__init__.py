"""How one event is tried: what brokers are made of.

A `HandlerRunner` makes one try and *decides*: its `Verdict` says what to publish, when to try
again, or that the event is dead. The broker *carries out*: it knows where events come from and go
to. `Topic` holds the events of one handler, in lanes by subject, and the workers that take them on;
`Listeners` report to the broker's owner; `Lifecycle` is how it begins and ends.

`HandlerConfig`, `Middleware` and `DeadLetter` are for users of a broker, everything else is for
authors of one.
"""

from ._contention import CONTENTION_TIMEOUT, Contention
from ._dead_letter import DeadLetter, DeadLetterListener, DeadLetterReason
from ._dead_letter_box import DeadLetterBox, IDeadLetters, Republish, StoredLetter
from ._dead_letter_log import log_dead_letter
from ._errors import BrokerClosedError, endless_wait
from ._failed_try import ErrorListener, ErrorResponse, FailedTry
from ._guarded_call import guarded_call
from ._handler_config import HandlerConfig, HandlerDefaults, Order
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
from ._seats import Handling, Seats, asking, current_handling, handled_by, holds
from ._stats import BrokerStats, HasStats, TopicStats
from ._telemetry import count_retry
from ._topic import Topic, stop_topics
from ._trial import Trial
from ._verdict import GiveUp, Handled, TryAgain, Verdict

__all__ = [
    "CONTENTION_TIMEOUT",
    "DEFAULT_GRACE",
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
    "Lifecycle",
    "ListenerCall",
    "Listeners",
    "Middleware",
    "Order",
    "OutputMiddleware",
    "OwnerFunctions",
    "Publish",
    "Republish",
    "Seats",
    "StoredLetter",
    "Topic",
    "TopicStats",
    "Trial",
    "TryAgain",
    "UnclaimedListener",
    "Verdict",
    "asking",
    "count_retry",
    "current_handling",
    "endless_wait",
    "guarded_call",
    "handled_by",
    "holds",
    "log_dead_letter",
    "stop_topics",
]
