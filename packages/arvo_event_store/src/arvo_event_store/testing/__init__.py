"""Test kit for event stores, not for use in production.

`EventLogSuite` tests the log of a store of your own, `SharedEventLogSuite` one that several clients share,
`JoinedAppendSuite` appends in a transaction of the caller, `StreamAdminSuite` what operators do with its
streams, `ReactionStoreSuite` what it keeps for reactions, `WorkerSuite` reactions that run on it.
`ClosedStoreSuite` and `ClosedReactionStoreSuite` test what it does once it was closed, `StoreLawSuite` and
`ReactionLawSuite` that it gives what other stores give. `arvo_time.testing.FakeClock` moves the time by hand.
"""

from ._closed_store_suite import ClosableEventStore, ClosedReactionStoreSuite, ClosedStoreSuite
from ._consumer import Advance, ConnectStore
from ._event_log_suite import EventLogSuite
from ._expectations import WakingLog
from ._joined_append_suite import JoinAppends, JoinedAppendSuite
from ._reaction_law_suite import ReactionLawSuite
from ._reaction_store_suite import ReactionStoreSuite
from ._shared_log_suite import ConnectLog, SharedEventLogSuite
from ._store_law_suite import StoreLawSuite
from ._stream_admin_suite import StreamAdminSuite
from ._worker_suite import WorkerSuite
from ._working import OwnTable

__all__ = [
    "Advance",
    "ClosableEventStore",
    "ClosedReactionStoreSuite",
    "ClosedStoreSuite",
    "ConnectLog",
    "ConnectStore",
    "EventLogSuite",
    "JoinAppends",
    "JoinedAppendSuite",
    "OwnTable",
    "ReactionLawSuite",
    "ReactionStoreSuite",
    "SharedEventLogSuite",
    "StoreLawSuite",
    "StreamAdminSuite",
    "WakingLog",
    "WorkerSuite",
]
