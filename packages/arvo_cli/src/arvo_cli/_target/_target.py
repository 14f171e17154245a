"""The target: the module or folder that the handlers come from."""

import importlib
import importlib.util
import inspect
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from arvo_cli._errors import CommandError, named
from arvo_event_handler import IArvoEventHandler, IMachineMemory, check_handler
from arvo_event_handler.delivery import DomainedEventListener

from ._flavour import flavour_argument

FACTORY: Final = "create_handlers"
"""The function that a folder's package must define: machine memory in, handlers out."""
LISTENER: Final = "on_domained_event"
"""The async function that a target's module may define, for events that have a domain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A factory of handlers, and the listener for events that leave the system."""

    name: str
    """The target as the user wrote it."""
    factory: Callable[..., object]
    """Takes the memory, and a flavour if it offers any, and returns the handlers."""
    listener: DomainedEventListener | None
    """Receives events with a domain; None when the module defines no such function."""

    def create_handlers(
        self, memory: IMachineMemory, *, flavour: str | None
    ) -> list[IArvoEventHandler]:
        """Call the factory.

        Args:
            memory: The machine memory to call it with.
            flavour: The flavour to choose; None for its default.

        Raises:
            CommandError: It has no such flavour, fails, or returns something other than handlers.
        """
        options = flavour_argument(self.factory, flavour, target=self.name)
        if not _takes(self.factory, options):
            raise CommandError(
                f"the factory of {self.name} must take one argument, the machine memory; "
                f"write `{_signature(getattr(self.factory, '__name__', FACTORY))}`"
            )
        try:
            returned: Any = self.factory(memory, **options)
        except Exception as error:
            raise CommandError(f"the factory of {self.name} failed: {_located(error)}") from error
        if inspect.iscoroutine(returned):
            returned.close()
            raise CommandError(f"the factory of {self.name} is async; make it a plain function")
        handlers = list(returned) if isinstance(returned, Iterable) else [returned]
        if not handlers:
            raise CommandError(f"the factory of {self.name} returned no handlers")
        for handler in handlers:
            if not _is_handler(handler):
                raise CommandError(
                    f"the factory of {self.name} must return a list of handlers, "
                    f"not of {type(handler).__name__}"
                )
            try:
                check_handler(handler)
            except TypeError as error:
                raise CommandError(
                    f"the factory of {self.name} returned an invalid handler: {error}"
                ) from error
        topic, count = Counter(handler.source for handler in handlers).most_common(1)[0]
        if count > 1:
            raise CommandError(
                f"{self.name} has {count} handlers for {topic}; keep one handler per topic"
            )
        return handlers


def load_target(name: str) -> Target:
    """Import the target: `module:factory`, or a folder that is a package with `create_handlers`.

    Modules are looked for in the working directory too; a folder's package is imported by its
    name, from the folder above it.

    Raises:
        CommandError: The target does not exist, cannot be imported, or does not define the factory.
    """
    folder = Path(name)
    if folder.is_dir():
        folder = folder.resolve()
        if not (folder / "__init__.py").is_file():
            raise CommandError(
                f"the folder {name} is not a package; add an __init__.py that defines {FACTORY}"
            )
        return _from_module(name, _import(folder.name, folder.parent), FACTORY)
    module, colon, factory = name.partition(":")
    if not colon or not module or not factory:
        raise CommandError(_not_a_target(name))
    return _from_module(name, _import(module, Path.cwd()), factory)


def _import(module: str, folder: Path) -> ModuleType:
    _look_in(folder)
    try:
        return importlib.import_module(module)
    except (Exception, SystemExit) as error:
        raise CommandError(f"cannot import {module!r}: {_located(error)}") from error


def _from_module(name: str, module: ModuleType, factory: str) -> Target:
    found: Any = getattr(module, factory, None)
    if found is None:
        raise CommandError(
            f"{module.__name__} does not define {factory}; write `{_signature(factory)}`"
        )
    if not callable(found):
        raise CommandError(
            f"{factory} of {module.__name__} must be a function, not {type(found).__name__}"
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


def _takes(factory: Callable[..., object], options: Mapping[str, str]) -> bool:
    try:
        inspect.signature(factory).bind(None, **options)
    except TypeError:
        return False
    except ValueError:  # some callables written in C have no signature
        pass
    return True


def _signature(factory: str) -> str:
    return f"def {factory}(memory: IMachineMemory) -> list[IArvoEventHandler]"


def _not_a_target(name: str) -> str:
    """Return what to write instead of a name that is neither a folder nor `module:factory`."""
    path = Path(name)
    if path.is_file():
        return f"{name} is a file; {_remedy_for_file(path)}"
    if _is_module(name):
        return f"{name} is a module; write {name}:{FACTORY}"
    return f"there is no folder {name!r}; give a folder, or a factory as module:factory"


def _remedy_for_file(path: Path) -> str:
    if path.suffix != ".py":
        return "give a folder, or a factory as module:factory"
    module = _module_of(path)
    if module is None:
        return "give its factory as module:factory, with a module that can be imported from here"
    return f"write {module}:{FACTORY}"


def _module_of(path: Path) -> str | None:
    """Return the name by which a Python file is imported from here; None if it cannot be."""
    resolved = path.resolve()
    if not resolved.is_relative_to(Path.cwd()):
        return None
    parts = list(resolved.relative_to(Path.cwd()).with_suffix("").parts)
    if len(parts) > 1 and parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts) if all(part.isidentifier() for part in parts) else None


def _is_module(name: str) -> bool:
    if not all(part.isidentifier() for part in name.split(".")):
        return False
    _look_in(Path.cwd())
    try:
        return importlib.util.find_spec(name) is not None
    except (Exception, SystemExit):  # packages above it are imported, and may fail in any way
        return False


def _look_in(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    importlib.invalidate_caches()


def _located(error: BaseException) -> str:
    """Return what failed in the user's code, and where."""
    if isinstance(error, SyntaxError):
        what = f"{type(error).__name__}: {error.msg}"
        where = f"{error.filename}, line {error.lineno}"
    else:
        what, where = named(error), _place(error)
    return f"{what} ({where}); ARVO_DEBUG=1 shows the traceback" if where else what


def _place(error: BaseException) -> str:
    """Return file and line of the innermost frame outside the import machinery."""
    machinery = {__file__, importlib.__file__}
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename not in machinery and not frame.filename.startswith("<frozen"):
            return f"{frame.filename}, line {frame.lineno}"
    return ""
