"""Kills workers that fire timers, keeps them down and sets their clocks wrong, on each store.

The tests beside this package are written once and run on each store of `STORES`. A `Store` keeps the
workflows, and moves what it has stored into the past, so that no test waits for a timer.
"""

from ._clocks import HastyClock, SkewedClock
from ._death import POINTS, Death
from ._flow import (
    ASK,
    ASK_V1,
    CLIENT,
    FLOW,
    HOLD,
    Call,
    Ended,
    Waiting,
    each,
    flow,
    init,
    is_done,
    ticks_of,
)
from ._site import Site
from ._sqlite import SqliteStore
from ._store import Store
from ._stores import SHARED, STORES

__all__ = [
    "ASK",
    "ASK_V1",
    "CLIENT",
    "FLOW",
    "HOLD",
    "POINTS",
    "SHARED",
    "STORES",
    "Call",
    "Death",
    "Ended",
    "HastyClock",
    "Site",
    "SkewedClock",
    "SqliteStore",
    "Store",
    "Waiting",
    "each",
    "flow",
    "init",
    "is_done",
    "ticks_of",
]
