"""Kills workers at random while workflows run over one machine memory, and counts what is lost.

    python -m storm --memory sqlite:///state.db --workers 4 --workflows 500

A test calls `run_storm` and looks at the report.
"""

from ._report import Report
from ._run import run_storm

__all__ = ["Report", "run_storm"]
