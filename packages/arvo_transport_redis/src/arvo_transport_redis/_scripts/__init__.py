"""What the server does in one step each, in Lua.

Keys are computed from the key of a partition, `{<namespace>:<topic>:<partition>}`, so that nothing but
one server can run them. Each may run twice with the same arguments, when a reply was lost.

A server that is full refuses a script whose first write takes memory. So those that empty it, or keep
its workers at work, begin with a write that takes none.
"""

from ._in_hand import EXTEND, FULFIL, LEAVE, RELEASE
from ._layout import DECLARE, MOVE, PAUSE, REGISTRY
from ._look import DEPTH, PEEK, SERVER_STATE
from ._read import READ_ORDERED, READ_UNORDERED
from ._store import PUBLISH, REDRIVE, SETTLE
from ._tend import GIVE_UP, TEND

__all__ = [
    "DECLARE",
    "DEPTH",
    "EXTEND",
    "FULFIL",
    "GIVE_UP",
    "LEAVE",
    "MOVE",
    "PAUSE",
    "PEEK",
    "PUBLISH",
    "READ_ORDERED",
    "READ_UNORDERED",
    "REDRIVE",
    "REGISTRY",
    "RELEASE",
    "SERVER_STATE",
    "SETTLE",
    "TEND",
]
