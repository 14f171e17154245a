"""Time, retries and the errors of backends: what the packages of Arvo share, and no more.

Programs of users need `Clock`, `Backoff`, `RetryPolicy` and `arvo_time.testing.FakeClock`. The rest is
for the packages of Arvo, and may change with any release: `arvo_time.settings` checks settings,
`arvo_time.cancellation` waits for what must end, and `arvo_time.logs` bounds what is logged.
"""

from ._backoff import SYSTEM_RANDOM, Backoff
from ._clock import SYSTEM_CLOCK, Clock, ClockTimer, SystemClock
from ._errors import BackendError
from ._retry_policy import RetryPolicy

__all__ = [
    "SYSTEM_CLOCK",
    "SYSTEM_RANDOM",
    "BackendError",
    "Backoff",
    "Clock",
    "ClockTimer",
    "RetryPolicy",
    "SystemClock",
]
