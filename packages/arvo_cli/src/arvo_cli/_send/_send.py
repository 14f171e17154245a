"""Sends every line of the input, and writes the answers."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

from arvo_cli._errors import one_line
from arvo_cli._input._intake import Intake
from arvo_cli._input._lines import Line, LineReader
from arvo_cli._input._request import Request
from arvo_core import ArvoEvent
from arvo_time import Clock

from ._sender import NotSentError, Sender


class Send:
    """One pass over the input.

    Args:
        sender: Sends the requests.
        intake: Takes the lines in.
        write: Receives the answers.
        write_id: Receives the ids of what was stored, where answers are not waited for.
        wait: How long an answer is waited for; None not to wait.
        clock: For latencies.
    """

    def __init__(
        self,
        *,
        sender: Sender,
        intake: Intake,
        write: Callable[[ArvoEvent], None],
        write_id: Callable[[str], None],
        wait: timedelta | None,
        clock: Clock,
    ) -> None:
        self._sender = sender
        self._intake = intake
        self._write = write
        self._write_id = write_id
        self._wait = wait
        self._clock = clock

    async def over(self, lines: LineReader) -> None:
        """Send all lines, or those before `stop`. Each line is counted in the report.

        Raises:
            CommandError: The input cannot be read any further; what was read was sent. Or a result
                cannot be written.
            TransportError: The engine failed.
        """
        with self._intake.accounted():
            async with self._sender:
                await self._intake.over(lines, self._send, first=self._sender.check_topics)

    def stop(self) -> None:
        """Take no more lines, and finish what was begun."""
        self._intake.display.say(
            f"interrupted: nothing more is sent, {self._intake.stop()} under way are finished; "
            "interrupt again to leave them"
        )

    def cancel(self) -> None:
        """Wait for no more answers."""
        self._intake.display.say(
            f"leaving what is under way ({self._intake.cancel()}); interrupt again to end immediately"
        )

    async def _send(self, line: Line, request: Request) -> None:
        started = self._clock.monotonic()
        try:
            answer = await self._sender.send(request)
        except asyncio.CancelledError:
            self._intake.fail(line, ["left; it may have been stored"])
            raise
        except NotSentError as error:
            self._intake.fail(line, [one_line(error)])
            return
        if answer is None and self._wait is not None:
            self._intake.fail(line, [unanswered(self._wait)])
            return
        if answer is None:
            self._write_id(request.event.id)
        else:
            self._write(answer)
        kind = request.event.type if answer is None else answer.type
        latency = self._clock.monotonic() - started
        self._intake.report.add_result(kind, latency=latency, repeated=request.repeated)
        self._intake.end(line)


def unanswered(wait: timedelta) -> str:
    """Return the reason for a request that has no answer."""
    return f"no answer within {wait.total_seconds():g} s; it is stored: send it again to look once more"
