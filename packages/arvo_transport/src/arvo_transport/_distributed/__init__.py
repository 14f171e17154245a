"""Runs handlers on the events of a transport, as one of any number of workers."""

from ._broker import DistributedEventBroker
from ._health import WorkerState
from ._replies import DeadLetterReply

__all__ = ["DeadLetterReply", "DistributedEventBroker", "WorkerState"]
