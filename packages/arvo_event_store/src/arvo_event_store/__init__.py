"""An append-only log of events: streams with versions, and one order over all of them.

`MemoryEventStore` keeps it in this process, `SqliteEventStore` in a file. `Aggregate` folds a stream into
a state and appends what is decided on it. `IEventLog` is what the stores have in common, and
`IStreamAdmin` what operators do with streams; `Archive` and `RetentionWorker` do it for them.
`connect_event_store` opens a store by URL.
`arvo_event_store.pydantic` stores what dataclasses of JSON values cannot say,
`arvo_event_store.stores` is for those who write a store,
`arvo_event_store.testing` tests one.
"""

from ._aggregate import Acted, Aggregate, Loaded
from ._append import Append, Appended, KnownEvents
from ._archive import Archive, ArchivedStream, IRetentionStore
from ._codec import EventType, IEventCodec, Upcast
from ._connect import MigrateStore, connect_event_store, migrate_event_store
from ._dataclass_codec import DataclassCodec
from ._errors import (
    ArchiveError,
    ConflictError,
    EventIdReusedError,
    EventStoreError,
    InvalidEventError,
    LeaseLostError,
    NotSupportedError,
    PendingWorkError,
    ReactionChangedError,
    SchemaError,
    StoreFailure,
    StreamClosedError,
    TruncatedStreamError,
    UnknownEventError,
    UnknownStoreError,
)
from ._event import DamagedEvent, Event, NewEvent
from ._expect import Expect
from ._json import JsonValue
from ._log import IEventLog, IStreamAccess
from ._memory._store import MemoryEventStore
from ._query import Query
from ._reaction_state import ParkedEvent, ReactionLag
from ._reaction_store import IReactionStore
from ._reactions._acknowledgement import IWorkerStore
from ._reactions._call import Batch, BatchItem, Postpone, ReactionCall, Reject
from ._reactions._event_consumer import EventConsumer, Projection, Reaction
from ._reactions._failure import ReactionFailure
from ._reactions._lane import Lane
from ._reactions._worker import ReactionWorker
from ._reactions._worker_stats import WorkerHealth, WorkerStats
from ._retention import RetentionPolicy, RetentionWorker, StreamCut
from ._snapshot_policy import SnapshotPolicy
from ._sqlite._log import SqliteLog
from ._sqlite._store import SqliteEventStore
from ._sqlite._work import SqliteWork
from ._store import IEventStore
from ._stream import Snapshot, StreamHead
from ._stream_admin import IStreamAdmin
from ._target import PER_EVENT, PER_STREAM, TargetKind, TargetState, Wake
from ._verification import StreamProblem, StreamsVerified, verify_streams
from ._wake_ups import IWakeUps

__all__ = [
    "PER_EVENT",
    "PER_STREAM",
    "Acted",
    "Aggregate",
    "Append",
    "Appended",
    "Archive",
    "ArchiveError",
    "ArchivedStream",
    "Batch",
    "BatchItem",
    "ConflictError",
    "DamagedEvent",
    "DataclassCodec",
    "Event",
    "EventConsumer",
    "EventIdReusedError",
    "EventStoreError",
    "EventType",
    "Expect",
    "IEventCodec",
    "IEventLog",
    "IEventStore",
    "IReactionStore",
    "IRetentionStore",
    "IStreamAccess",
    "IStreamAdmin",
    "IWakeUps",
    "IWorkerStore",
    "InvalidEventError",
    "JsonValue",
    "KnownEvents",
    "Lane",
    "LeaseLostError",
    "Loaded",
    "MemoryEventStore",
    "MigrateStore",
    "NewEvent",
    "NotSupportedError",
    "ParkedEvent",
    "PendingWorkError",
    "Postpone",
    "Projection",
    "Query",
    "Reaction",
    "ReactionCall",
    "ReactionChangedError",
    "ReactionFailure",
    "ReactionLag",
    "ReactionWorker",
    "Reject",
    "RetentionPolicy",
    "RetentionWorker",
    "SchemaError",
    "Snapshot",
    "SnapshotPolicy",
    "SqliteEventStore",
    "SqliteLog",
    "SqliteWork",
    "StoreFailure",
    "StreamClosedError",
    "StreamCut",
    "StreamHead",
    "StreamProblem",
    "StreamsVerified",
    "TargetKind",
    "TargetState",
    "TruncatedStreamError",
    "UnknownEventError",
    "UnknownStoreError",
    "Upcast",
    "Wake",
    "WorkerHealth",
    "WorkerStats",
    "connect_event_store",
    "migrate_event_store",
    "verify_streams",
]
