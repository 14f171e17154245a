"""What an event store is.

Who does what:

- The *store* decides in one step, inside its database: which ids are known, whether a stream is open and
  as expected, versions and positions, the marks of the targets that an append wakes, how far the horizon
  is, whether a target still has work in a stream that is closed, cut off or deleted. It has its own clock.
  It tries again what its database asks it to. It never folds events, and runs no code of the user but
  the work that is handed to its transaction.
- What all stores must do *alike* is in `arvo_event_store.stores`: the rules for arguments, names and
  JSON, the answer to known ids, the order of refusals, reading in pages. A store calls it.
- The *engine* (aggregates, archives, retention, later the workers of reactions) is above the protocols,
  and works with any store: it loads, folds, decides, and tries again when somebody was faster.

How to join a transaction is each store's own, as databases differ: `PostgresEventStore.transaction()` is a
log on one connection, `SqliteEventStore.write(work)` runs `work` in the thread that writes.
"""

from typing import Protocol

from ._log import IEventLog
from ._reaction_store import IReactionStore
from ._stream_admin import IStreamAdmin


class IEventStore(IEventLog, IStreamAdmin, IReactionStore, Protocol):
    """A store: the log, what operators do with streams, and what is kept for reactions."""
