"""Writes results: JSON Lines, one object per line, or short lines for a person."""

import os
import re
import stat
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

from pydantic_core import to_json
from rich.text import Text

from arvo_cli._errors import CommandError, OutputError, os_reason
from arvo_cli._options._values import STDOUT
from arvo_core import ArvoEvent

from ._distinct_files import check_unused
from ._printable import printable
from ._signals import held_interrupts

_ID_WIDTH: Final = 16
_WORD: Final = re.compile(r"[^\s\"]+")


def open_output(option: str, name: str, *, opened: ExitStack) -> "LineWriter":
    """Open an output, unless that would empty a file that this process uses.

    Args:
        option: The option that names it.
        name: A path, or "-" for standard output.
        opened: Closes it.

    Raises:
        CommandError: It cannot be opened, or is in use by this process.
    """
    if name != STDOUT:
        # Before it is opened: closing a database's file drops the locks that this process holds.
        check_unused(option, name)
    writer = LineWriter(name)
    opened.push(writer)  # first, so that an interrupt leaves no new file behind
    writer.open()
    return writer


class LineWriter:
    """Writes lines to a file, which is overwritten, or to standard output.

    The file is emptied by `begin`, or by the first line. A file that was created by this writer and
    never begun is removed on exit.

    Args:
        name: A path, or "-" for standard output.
    """

    def __init__(self, name: str) -> None:
        self._name = "standard output" if name == STDOUT else name
        self._owned = name != STDOUT
        self._failure: str | None = None
        self._is_new = False
        self._begun = not self._owned
        self._stream: BinaryIO
        self._is_open = False

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not (self._is_open and self._owned):
            return
        if self._is_new and not self._begun:
            with suppress(OSError):
                if os.path.samestat(os.fstat(self._stream.fileno()), os.stat(self._name)):
                    os.unlink(self._name)
        self._stream.close()

    def open(self) -> None:
        """Open the file without emptying it; create it if it does not exist.

        Raises:
            CommandError: It cannot be opened.
        """
        try:
            if not self._owned:
                self._stream = _stdout()
                return
            try:
                with held_interrupts():  # a file is new, or it is not
                    self._stream = open(self._name, "xb")  # noqa: SIM115
                    self._is_new = self._is_open = True
            except FileExistsError:  # a fifo waits for its reader, so interrupts are not held
                self._stream = open(self._name, "wb", opener=_unemptied)  # noqa: SIM115
                self._is_open = True
        except OSError as error:
            raise CommandError(f"cannot write {self._name}: {os_reason(error)}") from error

    def begin(self) -> None:
        """Empty the file. Does nothing when called again.

        Raises:
            CommandError: It cannot be emptied.
        """
        if self._begun:
            return
        try:
            descriptor = self._stream.fileno()
            if stat.S_ISREG(os.fstat(descriptor).st_mode):  # not a pipe or a terminal
                os.ftruncate(descriptor, 0)
        except OSError as error:
            raise CommandError(f"cannot write {self._name}: {os_reason(error)}") from error
        self._begun = True

    def write(self, line: str) -> None:
        """Write a line and flush it to the operating system.

        Raises:
            OutputError: It cannot be written, for example because the disk is full or the reader
                has gone, or an earlier line could not be written.
        """
        if self._failure is not None:
            raise OutputError(self._failure)
        self.begin()
        try:
            self._stream.write(f"{line}\n".encode())
            self._stream.flush()
        except OSError as error:
            self._discard()
            self._failure = f"cannot write {self._name}: {os_reason(error)}"
            raise OutputError(self._failure) from error

    def _discard(self) -> None:
        """Discard what is left in the buffer, or closing the stream would fail again."""
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), self._stream.fileno())


def _unemptied(name: str, flags: int) -> int:
    return os.open(name, flags & ~os.O_TRUNC, 0o666)


def _stdout() -> BinaryIO:
    if sys.stdout is None:
        raise OSError(0, "it is closed")
    return sys.stdout.buffer


def short_line(event: ArvoEvent, *, width: int) -> str:
    """Write a final event as one line that fits a terminal: type, parentid, data.

    Args:
        event: The final event.
        width: The terminal's width in columns.
    """
    parent = Text(event.parentid or "")
    parent.truncate(_ID_WIDTH, overflow="ellipsis")
    line = Text(f"{event.type}  {parent.plain}  {short_data(event)}")
    line.truncate(width, overflow="ellipsis")
    return printable(line.plain)


def short_data(event: ArvoEvent) -> str:
    """Write the data of an event as names and values on one line."""
    return " ".join(f"{name}={_short_value(value)}" for name, value in event.data.items())


def _short_value(value: object) -> str:
    """Return a value as JSON, but a single word without quotes."""
    if isinstance(value, str) and _WORD.fullmatch(value):
        return value
    return to_json(value).decode()
