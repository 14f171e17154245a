"""The entry point of the command. It imports the rest where an interrupt is handled."""

import sys
from collections.abc import Sequence

from arvo_cli._terminal._collector import collecting_rarely
from arvo_cli._terminal._signals import handled_by, raise_interrupt

from ._errors import INTERRUPTED


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the `arvo` command and return its exit status.

    0: every line has its result. 1: a result could not be written. 2: wrong usage, or something
    that the command was given does not exist. 3: some lines were rejected or failed.
    130: interrupted, by SIGINT or SIGTERM, which it handles when called in the main thread. With
    `ARVO_DEBUG` set in the environment, errors come with a traceback. A third interrupt ends the
    whole process.

    Args:
        arguments: What follows the command's name; None for the process's own.

    Example:
        >>> main(["--version"])
        arvo ...
        0
    """
    try:
        with handled_by(raise_interrupt), collecting_rarely():
            # Not at the top: it takes long enough for users to press Ctrl-C meanwhile.
            from ._command import run_command

            return run_command(arguments)
    except KeyboardInterrupt:
        sys.stderr.write("arvo: interrupted\n")
        return INTERRUPTED
