"""Checks that no two inputs and outputs of a run are the same file, whatever their names."""

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TextIO, TypeAlias

from arvo_cli._errors import CommandError

STANDARD: Final = "-"
"""The name that stands for standard input or standard output."""
_Role: TypeAlias = Literal["input", "file", "stream"]
_OPEN_FILES: Final = Path("/dev/fd")
"""Where the system lists the open files of a process; some systems have no such folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _End:
    """One end of a run: its input, or something that it writes."""

    title: str
    """How messages name it."""
    identity: tuple[int, int] | Path
    """Device and inode number; the full path of a file that does not exist yet."""
    mode: int
    """Mode bits, as from `stat`; 0 for a file that does not exist yet."""
    role: _Role
    """The input, a file that is overwritten, or a stream that the shell opened for output."""

    def may_be(self, other: "_End") -> bool:
        """Return whether nothing is lost if both are the same file."""
        roles = {self.role, other.role}
        if roles == {"stream"}:  # as with `2>&1`
            return True
        if stat.S_ISFIFO(self.mode):  # as the input, the run would wait for its own output
            return "input" not in roles
        return stat.S_ISCHR(self.mode) or stat.S_ISSOCK(self.mode)


def check_distinct(*, events: str, out: str, rejects: str | None) -> None:
    """Check that no output is the input or another output. Opens nothing.

    Args:
        events: The input; "-" for standard input.
        out: Where results go; "-" for standard output.
        rejects: Where lines without a result go; None when no file is written.

    Raises:
        CommandError: Two of them are the same file.
    """
    known: list[_End] = []
    for end in _ends(events=events, out=out, rejects=rejects):
        for other in known:
            if end.identity == other.identity and not end.may_be(other):
                raise CommandError(
                    f"{end.title} and {other.title} are the same file; "
                    "writing to it would destroy its content"
                )
        known.append(end)


def check_unused(title: str, name: str) -> None:
    """Check that a file to be overwritten is not in use by this process.

    This keeps a run from emptying a database, such as that of `--memory`, or a module of the
    target. Where the system does not list a process's open files, only modules are found.

    Args:
        title: The option that names the file.
        name: Its path.

    Raises:
        CommandError: It is open already, or a module was imported from it.
    """
    with suppress(OSError):
        status = os.stat(name)
        if stat.S_ISREG(status.st_mode) and (status.st_dev, status.st_ino) in _files_in_use():
            raise CommandError(f"{title} {name} is already in use by this command; write elsewhere")


def _ends(*, events: str, out: str, rejects: str | None) -> Iterator[_End]:
    if events == STANDARD:
        yield from _standard("standard input", sys.stdin, role="input")
    else:
        yield _named("--events", events, role="input")
    yield from _standard("standard output", sys.stdout, role="stream")
    yield from _standard("standard error", sys.stderr, role="stream")
    if out != STANDARD:
        yield _named("--out", out, role="file")
    if rejects is not None:
        yield _named("--rejects", rejects, role="file")


def _named(option: str, name: str, *, role: _Role) -> _End:
    title = f"{option} {name}"
    try:
        status = os.stat(name)
    except OSError:
        return _End(title=title, identity=Path(name).resolve(), mode=0, role=role)
    return _of(title, status, role=role)


def _standard(title: str, stream: TextIO | None, *, role: _Role) -> Iterator[_End]:
    # A stream that is None or closed fails where it is used. And not every stream is a file.
    with suppress(OSError, ValueError, AttributeError):
        yield _of(title, os.fstat(stream.fileno()), role=role)  # type: ignore[union-attr]


def _of(title: str, status: os.stat_result, *, role: _Role) -> _End:
    return _End(
        title=title, identity=(status.st_dev, status.st_ino), mode=status.st_mode, role=role
    )


def _files_in_use() -> set[tuple[int, int]]:
    used = set(_module_files())
    with suppress(OSError):
        used.update(_open_files())
    return used


def _module_files() -> Iterator[tuple[int, int]]:
    for module in list(sys.modules.values()):
        file = getattr(module, "__dict__", {}).get("__file__")  # calls no `__getattr__`
        if isinstance(file, str):
            with suppress(OSError, ValueError):
                status = os.stat(file)
                yield status.st_dev, status.st_ino


def _open_files() -> Iterator[tuple[int, int]]:
    for name in os.listdir(_OPEN_FILES):
        with suppress(OSError, ValueError):
            status = os.fstat(int(name))
            yield status.st_dev, status.st_ino
