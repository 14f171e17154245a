"""The answer boxes of the addresses that requests are sent from."""

import asyncio
from types import TracebackType
from typing import Final, Self

from arvo_cli._errors import CommandError
from arvo_transport import IAnswerBox, IAnsweringTransport, TransportError

_AT_MOST: Final = 64
"""How many boxes are open at most; each may be a connection."""


class AnswerBoxes:
    """Opens the answer box of an address when it is first needed, and keeps it open.

    Use it as an async context manager.

    Args:
        transport: Keeps the answers.
    """

    def __init__(self, transport: IAnsweringTransport) -> None:
        self._transport = transport
        self._boxes: dict[str, asyncio.Future[IAnswerBox]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def of(self, address: str) -> IAnswerBox:
        """Return the open box of an address.

        Raises:
            CommandError: Boxes of too many other addresses are open.
            TransportError: The engine failed.
        """
        opened = self._boxes.get(address)
        if opened is None:
            if len(self._boxes) == _AT_MOST:
                raise CommandError(
                    f"answers to more than {_AT_MOST} addresses cannot be waited for at once; "
                    "give the events one source, or send them without --wait"
                )
            opened = self._boxes[address] = asyncio.get_running_loop().create_future()
            # Each in a task of its own: it is closed by the task that opened it.
            self._tasks.add(asyncio.create_task(self._hold(address, opened)))
        return await asyncio.shield(opened)

    async def _hold(self, address: str, opened: "asyncio.Future[IAnswerBox]") -> None:
        try:
            async with self._transport.answers(address) as box:
                opened.set_result(box)
                await asyncio.Event().wait()
        except Exception as error:
            if not opened.done():
                opened.set_exception(error)
            elif not isinstance(error, TransportError):  # which does not matter at the end
                raise
        finally:
            opened.cancel()
