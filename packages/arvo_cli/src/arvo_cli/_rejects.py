"""The lines that got no result, and why."""

from collections.abc import Callable
from typing import Literal

from pydantic_core import to_json

from ._lines import Line
from ._output import LineWriter


class Rejects:
    """Says of each line that got no result why: in a file, else to the user.

    Args:
        writer: Where the file is; None when there is none.
        say: Tells the user a line of text.
        held: Whether to tell the user only at the end, as where results would bury it.
    """

    def __init__(
        self, writer: LineWriter | None, *, say: Callable[[str], None], held: bool
    ) -> None:
        self._writer = writer
        self._say = say
        self._held: list[str] | None = [] if held else None

    def add(self, line: Line, outcome: Literal["rejected", "failed"], *, reason: str) -> None:
        """Put a line on record.

        Raises:
            OutputError: It cannot be written.
        """
        if self._writer is None:
            tell = self._say if self._held is None else self._held.append
            tell(f"line {line.number} {outcome}: {reason}")
            return
        entry = {
            "line": line.number,
            "outcome": outcome,
            "reason": reason,
            "text": line.text,
        }
        self._writer.write(to_json(entry).decode())

    def tell_held(self) -> None:
        """Tell the user what was held back."""
        for text in self._held or ():
            self._say(text)
        self._held = None
