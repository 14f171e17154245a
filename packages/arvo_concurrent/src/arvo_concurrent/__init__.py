"""Many concurrent workflows in one process: the concurrent machine memory and event broker.

`ConcurrentEventBroker` carries events between handlers; `ConcurrentMachineMemory` keeps the state
of their workflows.
"""

from ._broker import ConcurrentEventBroker
from ._errors import QueueFullError
from ._memory import ConcurrentMachineMemory
from ._recovery import RecoveryErrorListener
from ._subscription import Subscription

__all__ = [
    "ConcurrentEventBroker",
    "ConcurrentMachineMemory",
    "QueueFullError",
    "RecoveryErrorListener",
    "Subscription",
]
