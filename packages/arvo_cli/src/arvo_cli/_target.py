"""The target: where the handlers come from."""

import importlib
import inspect
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from arvo_event_handler import DomainedEventListener, IArvoEventHandler, IMachineMemory

from ._errors import CommandError, one_line

FACTORY: Final = "create_handlers"
"""What a folder's package must define: takes the machine memory and returns the handlers."""
LISTENER: Final = "on_domained_event"
"""What a target's module may define: an async function for events that have a domain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A factory of handlers, and what listens to the events that leave the system."""

    name: str
    """The target as the user wrote it."""
    factory: Callable[[IMachineMemory], object]
    """Takes the memory and returns the handlers."""
    listener: DomainedEventListener | None
    """Receives events with a domain; None when the module defines no such function."""

    def create_handlers(self, memory: IMachineMemory) -> list[IArvoEventHandler]:
        """Call the factory.

        Raises:
            CommandError: It fails, or returns something else than handlers.
        """
        try:
            made: Any = self.factory(memory)
        except Exception as error:
            raise CommandError(
                f"the factory of {self.name} failed: {type(error).__name__}: {one_line(error)}"
            ) from error
        if inspect.iscoroutine(made):
            made.close()
            raise CommandError(f"the factory of {self.name} is async; make it a plain function")
        handlers = list(made) if isinstance(made, Iterable) else [made]
        if not handlers:
            raise CommandError(f"the factory of {self.name} returned no handlers")
        for handler in handlers:
            if not _is_handler(handler):
                raise CommandError(
                    f"the factory of {self.name} must return a list of handlers, "
                    f"not of {type(handler).__name__}"
                )
        topic, count = Counter(handler.source for handler in handlers).most_common(1)[0]
        if count > 1:
            raise CommandError(f"{self.name} has {count} handlers for {topic}; a topic has one")
        return handlers


def load_target(name: str) -> Target:
    """Import the target: `module:factory`, or a folder that is a package with `create_handlers`.

    Modules are looked for in the working directory too; a folder's package is imported by its
    name, from the folder above it.

    Raises:
        CommandError: There is no such thing, it cannot be imported, or it defines no factory.
    """
    folder = Path(name)
    if folder.is_dir():
        folder = folder.resolve()
        if not (folder / "__init__.py").is_file():
            raise CommandError(
                f"the folder {name} is no package: it needs an __init__.py that defines {FACTORY}"
            )
        return _from_module(name, _import(folder.name, folder.parent), FACTORY)
    module, colon, factory = name.partition(":")
    if not colon or not module or not factory:
        raise CommandError(
            f"there is no folder {name!r}; give a folder, or a factory as module:factory"
        )
    return _from_module(name, _import(module, Path.cwd()), factory)


def _import(module: str, folder: Path) -> ModuleType:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        return importlib.import_module(module)
    except (Exception, SystemExit) as error:
        raise CommandError(
            f"cannot import {module!r}: {type(error).__name__}: {one_line(error)}"
        ) from error


def _from_module(name: str, module: ModuleType, factory: str) -> Target:
    found: Any = getattr(module, factory, None)
    if found is None:
        raise CommandError(
            f"{module.__name__} does not define {factory}; "
            f"write `def {factory}(memory: IMachineMemory) -> list[IArvoEventHandler]`"
        )
    if not callable(found):
        raise CommandError(
            f"{factory} of {module.__name__} is no function but {type(found).__name__}"
        )
    listener: Any = getattr(module, LISTENER, None)
    if listener is not None and not inspect.iscoroutinefunction(listener):
        raise CommandError(
            f"{LISTENER} of {module.__name__} must be `async def {LISTENER}(event, publish)`"
        )
    return Target(name=name, factory=found, listener=listener)


def _is_handler(value: Any) -> bool:
    return isinstance(getattr(value, "source", None), str) and callable(
        getattr(value, "execute", None)
    )
