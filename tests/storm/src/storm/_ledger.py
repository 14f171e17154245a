"""The ledger in which the services book what they did: lines at the end of a file."""

import json
import os
from collections import Counter
from pathlib import Path

from arvo_core import ArvoEvent


class Ledger:
    """A file that any number of processes append to.

    A line is written in one call, so a killed process leaves a whole line or none.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def book(self, request: ArvoEvent, account: str, amount: int) -> None:
        """Book for one request; the same request again counts once when it is read."""
        line = json.dumps([request.source, request.id, account, amount]) + "\n"
        os.write(self._file, line.encode())

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def read_ledger(path: Path) -> tuple[Counter[str], int]:
    """Return the sum of each account, and the number of lines that repeat a booking."""
    sums: Counter[str] = Counter()
    seen: set[tuple[str, str]] = set()
    again = 0
    for line in path.read_text("utf-8").splitlines():
        source, event_id, account, amount = json.loads(line)
        if (source, event_id) in seen:
            again += 1
        else:
            seen.add((source, event_id))
            sums[account] += amount
    return sums, again
