"""Kills, freezes and replaces the workers of a transport, and its engine, and counts what goes wrong.

The tests beside this package are written once and run on each engine of `ENGINES`. A `Site` has the
processes that work, a namespace of the engine and the ledger in which they book; `Findings` says what
the ledger shows.
"""

from ._engine import Engine
from ._engines import ENGINES
from ._events import DONE, number_of, numbered, output_of
from ._findings import Findings
from ._ledger import Entry, Ledger
from ._load import Load, under_load
from ._roles import POINTS, Death, Role
from ._site import Site, WorkerProcess, insisted, is_empty, limited, until
from ._strength import strength
from ._workflows import Workflows

__all__ = [
    "DONE",
    "ENGINES",
    "POINTS",
    "Death",
    "Engine",
    "Entry",
    "Findings",
    "Ledger",
    "Load",
    "Role",
    "Site",
    "WorkerProcess",
    "Workflows",
    "insisted",
    "is_empty",
    "limited",
    "number_of",
    "numbered",
    "output_of",
    "strength",
    "under_load",
    "until",
]
