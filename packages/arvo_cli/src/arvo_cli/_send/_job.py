"""One `arvo send`: its options, and how its parts are put together."""

import asyncio
import re
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from arvo_cli._backend._transport_url import transport_for
from arvo_cli._errors import INTERRUPTED, CommandError, RejectedLineError, one_line
from arvo_cli._input._event_input import EnvelopeDecoder
from arvo_cli._input._intake import Intake
from arvo_cli._input._line_files import LineFiles
from arvo_cli._input._lines import Line, LineReader
from arvo_cli._input._request import Decoder, Request
from arvo_cli._input._requests import contract_versions, decoder_for, payload_decoder_for
from arvo_cli._options._values import MAX_LINE_BYTES, LogLevel
from arvo_cli._target._target import load_target
from arvo_cli._terminal._display import Display
from arvo_cli._terminal._interrupt import interrupts, woken_by_signals
from arvo_cli._terminal._log import shown_logs
from arvo_cli._terminal._printable import say
from arvo_cli._terminal._report import Report
from arvo_concurrent import ConcurrentMachineMemory
from arvo_core import EventLimits
from arvo_event_handler import IArvoEventHandler
from arvo_time import SYSTEM_CLOCK

from ._send import Send, unanswered
from ._sender import NotSentError, Sender

SENT: Final = 0
"""Every request was stored, and has its answer if that was waited for."""
INCOMPLETE: Final = 3
"""Some lines were rejected, not stored, or have no answer."""
_KEY: Final = re.compile(r"[A-Za-z0-9._:@-]{1,128}")
_UNDER_WAY: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class SendJob:
    """The options of `arvo send`."""

    target: str | None
    """A folder, or `module:factory`; None to send events that are not checked."""
    flavour: str | None
    """Which handlers the factory makes; None for its default."""
    transport: str
    """The transport's URL."""
    files: LineFiles
    """The input, unless there is `data`, and the outputs."""
    contract: str | None
    """URI and version of the contract of plain payloads; None for CloudEvents."""
    data: str | None
    """The one payload to send; None for the lines of the input."""
    key: str | None
    """Names the one request; None derives its id from the payload."""
    wait: timedelta | None
    """How long to wait for each answer; None not to wait."""
    log_level: LogLevel
    """The lowest level of log records that are shown."""

    def run(self) -> int:
        """Send the input and return the exit status.

        Raises:
            CommandError: Nothing can be sent, or the engine fails.
        """
        if self.contract is not None and self.target is None:
            raise CommandError("--contract needs a TARGET: its handlers have the contract")
        if self.flavour is not None and self.target is None:
            raise CommandError("--flavour chooses among the handlers of a TARGET; give one")
        if self.data is not None:
            return self._send_one(self.data)
        if self.key is not None:
            raise CommandError("--key names one request: give it with --data")
        with ExitStack() as opened:
            lines = self.files.open_input(opened)
            handlers = self._handlers()
            display = Display(total=lines.size)
            opened.enter_context(shown_logs(self.log_level, say=display.say))
            return asyncio.run(self._send_lines(lines, handlers, display, opened))

    # --- one request --------------------------------------------------------

    def _send_one(self, data: str) -> int:
        handlers = self._handlers()
        if self.contract is None or handlers is None:
            raise CommandError("--data is a payload of a contract: give --contract URI/VERSION")
        # What is not UTF-8 in the arguments stays what the decoder refuses.
        content = data.encode(errors="surrogatepass")
        line = Line(number=1, content=content, size=len(content))
        decoder = payload_decoder_for(handlers, self.contract, limits=_limits(MAX_LINE_BYTES))
        try:
            if self.key is None:
                request = decoder.decode(line)
            else:
                _check_key(self.key)
                request = decoder.decode_keyed(line, key=self.key)
        except RejectedLineError as error:
            raise CommandError(f"--data: {one_line(error)}") from error
        with ExitStack() as opened, shown_logs(self.log_level, say=say):
            try:
                return asyncio.run(self._one(request, opened))
            except KeyboardInterrupt:
                say("interrupted; the request may have been stored")
                return INTERRUPTED

    async def _one(self, request: Request, opened: ExitStack) -> int:
        async with (
            transport_for("use", self.transport) as transport,
            Sender(transport, wait=self.wait, say=say) as sender,
        ):
            outputs = self.files.open_outputs(opened, display=Display(total=None))
            await sender.check_topics()
            try:
                answer = await sender.send(request)
            except NotSentError as error:
                raise CommandError(one_line(error)) from error
            if answer is not None:
                outputs.write_event(answer)
            elif self.wait is None:
                outputs.write(request.event.id)
            else:
                say(f"{request.event.id}: {unanswered(self.wait)}")
                return INCOMPLETE
        return SENT

    # --- many ---------------------------------------------------------------

    async def _send_lines(
        self,
        lines: LineReader,
        handlers: list[IArvoEventHandler] | None,
        display: Display,
        opened: ExitStack,
    ) -> int:
        async with woken_by_signals(), transport_for("use", self.transport) as transport:
            decoder = self._decoder(handlers)
            outputs = self.files.open_outputs(opened, display=display)
            intake = Intake(
                decoder=decoder,
                begin=outputs.begin,
                rejects=outputs.rejects,
                report=Report(title="stored event" if self.wait is None else "final event"),
                display=display,
                concurrency=_UNDER_WAY,
                clock=SYSTEM_CLOCK,
            )
            send = Send(
                sender=Sender(transport, wait=self.wait, say=display.say),
                intake=intake,
                write=outputs.write_event,
                write_id=outputs.write,
                wait=self.wait,
                clock=SYSTEM_CLOCK,
            )
            try:
                with display, interrupts(send.stop, send.cancel, last=intake.abandon) as came:
                    await send.over(lines)
            finally:
                outputs.rejects.flush()
                contracts = [] if handlers is None else contract_versions(handlers)
                await self.files.conclude(intake.report, lines, contracts=contracts)
            if came.count:
                return INTERRUPTED
            return SENT if intake.report.is_clean else INCOMPLETE

    def _decoder(self, handlers: list[IArvoEventHandler] | None) -> Decoder:
        limits = _limits(self.files.max_line_bytes)
        if handlers is None:
            return EnvelopeDecoder(limits=limits)
        return decoder_for(handlers, self.contract, limits=limits)

    def _handlers(self) -> list[IArvoEventHandler] | None:
        """Return the handlers of the target, for their contracts; they handle nothing here."""
        if self.target is None:
            return None
        return load_target(self.target).create_handlers(
            ConcurrentMachineMemory(), flavour=self.flavour
        )


def _limits(max_bytes: int) -> EventLimits:
    return EventLimits(max_bytes=max_bytes)


def _check_key(key: str) -> None:
    if _KEY.fullmatch(key) is None:
        raise CommandError(f"--key takes 1 to 128 characters of A-Z a-z 0-9 . _ : @ -, not {key!r}")
