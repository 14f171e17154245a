"""Orders through stock, payment, approval and shipping: services, a workflow and people."""

import atexit
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from arvo_event_handler import IArvoEventHandler, IMachineMemory

from . import workflow_machine, workflow_resumable
from .delays import delays_of
from .ledger import Ledger
from .people import on_domained_event
from .services import create_services

__all__ = ["create_handlers", "on_domained_event"]

_WORKFLOWS = {
    "resumable": workflow_resumable.create_workflow,
    "machine": workflow_machine.create_workflow,
}


def create_handlers(
    memory: IMachineMemory, *, flavour: Literal["resumable", "machine"] = "resumable"
) -> list[IArvoEventHandler]:
    """Return all handlers of the example, for `arvo run`.

    The workflow is an async function or a statechart, as `--flavour` says.

    The ledger is the file that `ORDER_LEDGER` names. Without it each run has one of its own, which
    is deleted when the run ends, like the state in the default memory.

    Orders wait for people for days, or for as long as `ORDER_DAY_SECONDS` says that a day is.

    Raises:
        ValueError: `ORDER_DAY_SECONDS` is not a number above zero, or longer than a day.
    """
    delays = delays_of(os.environ)
    ledger = _open_ledger(os.environ.get("ORDER_LEDGER"))
    return [*create_services(ledger), _WORKFLOWS[flavour](memory, delays=delays)]


def _open_ledger(path: str | None) -> Ledger:
    if path is not None:
        ledger = Ledger(Path(path))
    else:
        folder = TemporaryDirectory(prefix="order-ledger-")
        atexit.register(folder.cleanup)
        ledger = Ledger(Path(folder.name) / "ledger.db")
    atexit.register(ledger.close)  # runs before the clean-up: last registered, first called
    return ledger
