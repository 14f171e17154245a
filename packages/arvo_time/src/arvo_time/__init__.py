"""Time, retries and the errors of backends, shared by the packages of Arvo.

User code needs `Clock`, `Backoff`, `RetryPolicy` and `arvo_time.testing.FakeClock`. The rest is for
the packages of Arvo, and may change with any release: `arvo_time.settings` checks settings,
`arvo_time.cancellation` waits for work that must end, `arvo_time.logs` bounds what is logged, and
`arvo_time.telemetry` traces clients of databases and servers.
"""

from ._backoff import SYSTEM_RANDOM, Backoff
from ._clock import SYSTEM_CLOCK, Clock, ClockTimer, SystemClock
from ._errors import BackendError, ClosedError, DamagedError, Outcome
from ._repeated import Judgement, repeated
from ._retry_policy import RetryPolicy

__all__ = [
    "SYSTEM_CLOCK",
    "SYSTEM_RANDOM",
    "BackendError",
    "Backoff",
    "Clock",
    "ClockTimer",
    "ClosedError",
    "DamagedError",
    "Judgement",
    "Outcome",
    "RetryPolicy",
    "SystemClock",
    "repeated",
]
