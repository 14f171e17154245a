"""The final events of workflows that an earlier run started."""

from collections.abc import Callable

from arvo_cli._errors import OutputError
from arvo_cli._terminal._report import Report
from arvo_core import ArvoEvent


class EarlierResults:
    """Writes the final events that come before, or without, a line of the input that asks for them.

    Each is written once, when it is ready, but not before the run begins: nothing is emptied until then.

    Args:
        write: Receives the final events.
        report: Counts those that no line has asked for.
    """

    def __init__(self, write: Callable[[ArvoEvent], None], report: Report) -> None:
        self._write = write
        self._report = report
        self._waiting: list[ArvoEvent] | None = []
        self._written: set[str] = set()
        self._failure: OutputError | None = None

    def begin(self) -> None:
        """Write what has come until now, and from now on what comes."""
        waiting, self._waiting = self._waiting or [], None
        for answer in waiting:
            self.take(answer)

    def take(self, answer: ArvoEvent) -> None:
        """Write a final event, or keep it until the run begins. A failure is kept for `close`."""
        if self._waiting is not None:
            self._waiting.append(answer)
        elif answer.id not in self._written:
            self._written.add(answer.id)
            self._report.unasked += 1
            try:
                self._write(answer)
            except OutputError as error:
                self._failure = error

    def is_written(self, answer: ArvoEvent) -> bool:
        """Return whether the result of a line is written already; asked again, it is not."""
        if answer.id not in self._written:
            return False
        self._written.remove(answer.id)
        self._report.unasked -= 1
        return True

    def close(self) -> list[ArvoEvent]:
        """Return what is not written because the run never began.

        Raises:
            OutputError: A final event could not be written.
        """
        if self._failure is not None:
            raise self._failure
        return self._waiting or []
