"""What a run reads and writes: no two of them may be one file, by whatever names."""

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TextIO, TypeAlias

from ._errors import CommandError

STANDARD: Final = "-"
"""The name of standard input and output."""
_Role: TypeAlias = Literal["input", "file", "stream"]
_OPEN_FILES: Final = Path("/dev/fd")
"""Where the system shows what a process has open; some have no such folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _End:
    """One end of a run: where its input comes from, or something that it writes."""

    title: str
    """What the user calls it."""
    identity: tuple[int, int] | Path
    """Its device and number there; the full path of a file that is yet to be made."""
    mode: int
    """What kind of file it is, as `stat` says; 0 for one that is yet to be made."""
    role: _Role
    """The input, a file that is made anew, or a stream that the shell opened for output."""

    def may_be(self, other: "_End") -> bool:
        """Tell whether nothing is lost if both are one file."""
        roles = {self.role, other.role}
        if roles == {"stream"}:  # as with `2>&1`
            return True
        if stat.S_ISFIFO(self.mode):  # read, it would wait for what itself writes
            return "input" not in roles
        return stat.S_ISCHR(self.mode) or stat.S_ISSOCK(self.mode)


def check_distinct(*, events: str, out: str, rejects: str | None) -> None:
    """Make sure that no output is the input or another output. Opens nothing.

    Args:
        events: The input; "-" for standard input.
        out: Where results go; "-" for standard output.
        rejects: Where lines without a result go; None when no file is made.

    Raises:
        CommandError: Two of them are one file.
    """
    known: list[_End] = []
    for end in _ends(events=events, out=out, rejects=rejects):
        for other in known:
            if end.identity == other.identity and not end.may_be(other):
                raise CommandError(
                    f"{end.title} and {other.title} are the same file; "
                    "what is written there would destroy what it holds"
                )
        known.append(end)


def check_unused(title: str, name: str) -> None:
    """Make sure that a file to be made anew is none that this process uses.

    So nobody's database, such as that of `--memory`, is emptied, and no module of the target.
    Where the system does not show what a process has open, only modules are found.

    Args:
        title: What the user calls it.
        name: Its path.

    Raises:
        CommandError: It is open already, or a module was imported from it.
    """
    with suppress(OSError):
        status = os.stat(name)
        if stat.S_ISREG(status.st_mode) and (status.st_dev, status.st_ino) in _files_in_use():
            raise CommandError(f"{title} {name} is in use by this command already; write elsewhere")


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
    # None or closed: whoever uses it says so. And not every stream is a file.
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
        file = getattr(module, "__dict__", {}).get("__file__")  # asks no `__getattr__`
        if isinstance(file, str):
            with suppress(OSError, ValueError):
                status = os.stat(file)
                yield status.st_dev, status.st_ino


def _open_files() -> Iterator[tuple[int, int]]:
    for name in os.listdir(_OPEN_FILES):
        with suppress(OSError, ValueError):
            status = os.fstat(int(name))
            yield status.st_dev, status.st_ino
