"""Kills workers at random while workflows run over one machine memory, and counts what is lost.

    python -m storm --memory sqlite:///state.db --workers 4 --workflows 500

A backend's test calls `check_storm` with the URL of an empty memory. `asking` is a workflow for tests of
single faults.
"""

from ._question import answer_to, asking, question
from ._report import Report
from ._run import check_storm, run_storm

__all__ = ["Report", "answer_to", "asking", "check_storm", "question", "run_storm"]
