"""Orders through stock, payment, approval and shipping: services, a workflow and a human."""

import atexit
import os
from pathlib import Path
from tempfile import TemporaryDirectory

from arvo_event_handler import IArvoEventHandler, IMachineMemory

from .approver import on_domained_event
from .ledger import Ledger
from .services import create_services
from .workflow_resumable import create_workflow

__all__ = ["create_handlers", "on_domained_event"]


def create_handlers(memory: IMachineMemory) -> list[IArvoEventHandler]:
    """Return all handlers of the example, for `arvo run`.

    The ledger is the file that `ORDER_LEDGER` names. Without it each run has one of its own, which
    goes when the run ends, as the state in the default memory does.
    """
    ledger = _open_ledger(os.environ.get("ORDER_LEDGER"))
    return [*create_services(ledger), create_workflow(memory)]


def _open_ledger(path: str | None) -> Ledger:
    if path is not None:
        ledger = Ledger(Path(path))
    else:
        folder = TemporaryDirectory(prefix="order-ledger-")
        atexit.register(folder.cleanup)
        ledger = Ledger(Path(folder.name) / "ledger.db")
    atexit.register(ledger.close)  # before the clean-up: the last registered comes first
    return ledger
