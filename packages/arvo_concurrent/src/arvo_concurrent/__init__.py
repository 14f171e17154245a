"""Many workflows at once in one process: the concurrent machine memory and event broker.

`ConcurrentEventBroker` carries events between handlers; `ConcurrentMachineMemory` keeps the state
of their workflows.
"""

from ._broker import ConcurrentEventBroker
from ._dead_letter import DeadLetter, DeadLetterListener, DeadLetterReason
from ._errors import BrokerClosedError, QueueFullError
from ._failed_try import ErrorListener, ErrorResponse, FailedTry
from ._handler_config import HandlerConfig, HandlerDefaults, Order
from ._memory import ConcurrentMachineMemory
from ._middleware import Bulk, BulkFunction, InputMiddleware, Middleware, OutputMiddleware
from ._router import UnclaimedListener
from ._stats import BrokerStats, TopicStats
from ._subscription import Subscription

__all__ = [
    "BrokerClosedError",
    "BrokerStats",
    "Bulk",
    "BulkFunction",
    "ConcurrentEventBroker",
    "ConcurrentMachineMemory",
    "DeadLetter",
    "DeadLetterListener",
    "DeadLetterReason",
    "ErrorListener",
    "ErrorResponse",
    "FailedTry",
    "HandlerConfig",
    "HandlerDefaults",
    "InputMiddleware",
    "Middleware",
    "Order",
    "OutputMiddleware",
    "QueueFullError",
    "Subscription",
    "TopicStats",
    "UnclaimedListener",
]
