"""Records the lines that got no result, and the reasons."""

from collections.abc import Callable
from typing import Literal

from pydantic_core import to_json

from arvo_cli._terminal._output import LineWriter

from ._lines import Line


class Rejects:
    """Records why a line got no result: in a file, or else in messages to the user.

    Args:
        writer: Writes the file; None when there is none.
        say: Shows the user a message.
        held: Whether to hold messages back until `flush`, so that results do not bury them.
    """

    def __init__(
        self, writer: LineWriter | None, *, say: Callable[[str], None], held: bool
    ) -> None:
        self._writer = writer
        self._say = say
        self._held: list[str] | None = [] if held else None

    def add(
        self, line: Line, outcome: Literal["rejected", "failed", "waiting"], *, reason: str
    ) -> None:
        """Record a line; the reason of one that is waiting says so itself.

        Raises:
            OutputError: It cannot be written.
        """
        if self._writer is None:
            report = self._say if self._held is None else self._held.append
            said = reason if outcome == "waiting" else f"{outcome}: {reason}"
            report(f"line {line.number} {said}")
            return
        entry = {
            "line": line.number,
            "outcome": outcome,
            "reason": reason,
            "text": line.text,
        }
        self._writer.write(to_json(entry).decode())

    def flush(self) -> None:
        """Show the messages that were held back."""
        for message in self._held or ():
            self._say(message)
        self._held = None
