"""`arvo machine diagram`: draws the statecharts of a target."""

import shutil
import subprocess
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass

from arvo_cli._errors import CommandError, one_line
from arvo_cli._options._values import DiagramFormat
from arvo_cli._terminal._output import open_output
from arvo_concurrent import ConcurrentMachineMemory
from arvo_event_handler import (
    ArvoMachine,
    ArvoOrchestrator,
    IArvoEventHandler,
)
from arvo_statechart import to_dot, to_mermaid

from ._flavour import flavours
from ._target import Target, load_target


@dataclass(frozen=True, slots=True, kw_only=True)
class DiagramJob:
    """The options of `arvo machine diagram`."""

    target: str
    """A folder, or `module:factory`."""
    flavour: str | None
    """Which handlers the factory makes; None for its default."""
    machine: str | None
    """The one machine to draw, as URI/VERSION; None for all."""
    format: DiagramFormat
    """The language of the diagram."""
    out: str
    """Where the diagram goes; "-" for standard output."""

    def run(self) -> None:
        """Draw the machines and write the diagram.

        Raises:
            CommandError: There is no machine, Graphviz is missing or fails, or the diagram cannot
                be written.
        """
        target = load_target(self.target)
        handlers = target.create_handlers(ConcurrentMachineMemory(), flavour=self.flavour)
        machines = self._choose(_machines(handlers), target)
        text = "\n\n".join(map(self._draw, machines))
        with ExitStack() as opened:
            open_output("--out", self.out, opened=opened).write(text)

    def _choose(self, machines: dict[str, ArvoMachine], target: Target) -> list[ArvoMachine]:
        if not machines:
            raise CommandError(_no_machine(target))
        names = ", ".join(machines)
        if self.machine is not None and self.machine not in machines:
            raise CommandError(
                f"{self.target} has no machine {self.machine!r}; choose one of: {names}"
            )
        if self.machine is not None:
            return [machines[self.machine]]
        if self.format == "svg" and len(machines) > 1:
            raise CommandError(f"svg shows one machine only; choose with --machine: {names}")
        return list(machines.values())

    def _draw(self, machine: ArvoMachine) -> str:
        match self.format:
            case "mermaid":
                return to_mermaid(machine.machine)
            case "dot":
                return to_dot(machine.machine)
            case "svg":
                return _svg(to_dot(machine.machine))


def _machines(handlers: Iterable[IArvoEventHandler]) -> dict[str, ArvoMachine]:
    return {
        str(machine.contract.dataschema): machine
        for handler in handlers
        if isinstance(handler, ArvoOrchestrator)
        for machine in handler.registry.machines
    }


def _no_machine(target: Target) -> str:
    names = flavours(target.factory, target=target.name)
    hint = f"; --flavour has {', '.join(names)}" if names else ""
    return f"{target.name} has no machine: no handler is an ArvoOrchestrator{hint}"


def _svg(graph: str) -> str:
    program = shutil.which("dot")
    if program is None:
        raise CommandError(
            "svg needs Graphviz, and there is no `dot` on the PATH; install it "
            "(apt install graphviz, brew install graphviz), or use --format mermaid"
        )
    try:
        done = subprocess.run(  # noqa: S603 - the user's own Graphviz, without a shell
            [program, "-Tsvg"], input=graph.encode(), capture_output=True, check=True
        )
    except subprocess.CalledProcessError as error:
        raise CommandError(f"Graphviz failed: {error.stderr.decode().strip()}") from error
    except OSError as error:
        raise CommandError(f"cannot run {program}: {one_line(error)}") from error
    return done.stdout.decode().rstrip()
