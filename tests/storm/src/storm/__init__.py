"""Kills workers at random while workflows run over one machine memory, and counts what is lost.

    python -m storm --memory sqlite:///state.db --workers 4 --workflows 500

A backend's test calls `check_storm` with the URL of an empty memory. `asking` is a workflow for tests of
single faults; the rest is for other programs that have its workflows run.
"""

from ._contracts import BUY, CLIENT, PAY
from ._expected import init_of
from ._handlers import create_handlers
from ._ledger import Ledger as Books, read_ledger as read_books
from ._memory_url import open_memory
from ._question import answer_to, asking, question
from ._report import Answers, Report
from ._run import check_storm, run_storm

__all__ = [
    "BUY",
    "CLIENT",
    "PAY",
    "Answers",
    "Books",
    "Report",
    "answer_to",
    "asking",
    "check_storm",
    "create_handlers",
    "init_of",
    "open_memory",
    "question",
    "read_books",
    "run_storm",
]
