"""Waiting for work that must end even if the task that waits for it is cancelled."""

from ._shield import shielded, take_or_give_back
from ._timeout import timeout

__all__ = ["shielded", "take_or_give_back", "timeout"]
