"""Interrupts `arvo run` at each of its lines in turn, once per line, each time in a new process.

Run as a program with a folder to write to and the arguments of the command, which get outputs in that
folder. It prints one line of JSON for each interrupt: where it came, the exit status, and what the
outputs hold.
"""

import json
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import arvo_cli._command
from arvo_cli import main
from arvo_cli._input import _intake
from arvo_cli._run import _job, _run
from arvo_cli._terminal import _interrupt, _output, _signals

TRACED = {
    str(Path(module.__file__ or ""))
    for module in (_intake, _interrupt, _job, _output, _run, _signals)
}
BEGINNING = arvo_cli._command.run_command.__code__
OLD_CONTENT = "of an earlier run"
Trace = Any


class Moments:
    """Calls the lines of the command, in the order in which they are first reached, moments.

    Args:
        chosen: The number of the moment at which to send the signal; the first one is 0.
        number: The signal.
    """

    def __init__(self, chosen: int, number: signal.Signals) -> None:
        self._chosen = chosen
        self._number = number
        self._seen: set[tuple[str, int]] = set()
        self.place: str | None = None

    def begin(self, frame: FrameType, event: str, arg: object) -> Trace:
        if frame.f_code is BEGINNING:
            sys.settrace(self._in_call)
            return self._to_end
        return None

    def _to_end(self, frame: FrameType, event: str, arg: object) -> Trace:
        if event == "return":
            sys.settrace(None)
        return self._to_end

    def _in_call(self, frame: FrameType, event: str, arg: object) -> Trace:
        return self._in_line if frame.f_code.co_filename in TRACED else None

    def _in_line(self, frame: FrameType, event: str, arg: object) -> Trace:
        place = (frame.f_code.co_filename, frame.f_lineno)
        if event == "line" and self.place is None and place not in self._seen:
            if len(self._seen) == self._chosen:
                self.place = f"{Path(place[0]).name}:{place[1]}"
                signal.raise_signal(self._number)
            self._seen.add(place)
        return self._in_line


def interrupted(chosen: int, folder: Path, arguments: list[str]) -> dict[str, object] | None:
    """Run the command in a new process; return None when it has no such moment."""
    out, rejects = folder / "out", folder / "rejects"
    out.write_text(OLD_CONTENT)
    rejects.unlink(missing_ok=True)
    number = (signal.SIGINT, signal.SIGTERM)[chosen % 2]
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        moments = Moments(chosen, number)
        returned = -1
        try:
            sys.settrace(moments.begin)
            returned = main([*arguments, "--out", str(out), "--rejects", str(rejects)])
        finally:
            sys.settrace(None)
            os.write(writing, f"{moments.place or ''} {returned}".encode())
            os._exit(0)
    os.close(writing)
    with open(reading) as report:
        place, _, status = report.read().partition(" ")
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if not place and ended == 0:
        return None
    return {
        "place": f"{number.name} at {place}",
        "status": int(status) if ended == 0 else ended,
        "out": out.read_text(),
        "rejects": rejects.read_text() if rejects.exists() else None,
    }


if __name__ == "__main__":
    main([*sys.argv[2:], "--out", os.devnull])  # imports the rest, and reports to standard output
    chosen = 0
    while (end := interrupted(chosen, Path(sys.argv[1]), sys.argv[2:])) is not None:
        sys.stdout.write(f"{json.dumps(end)}\n")
        chosen += 1
