"""Every exception class of the driver."""

import importlib
import pkgutil
from collections.abc import Iterator
from contextlib import suppress

import redis
import redis.exceptions


def every_error() -> list[type[Exception]]:
    """Return the exception classes of redis-py, always in the same order."""
    return sorted({*_walk()}, key=lambda kind: f"{kind.__module__}.{kind.__name__}")


def _walk() -> Iterator[type[Exception]]:
    """Yield what `redis.exceptions` has, and what all modules of redis-py derive from that."""
    for module in pkgutil.walk_packages(redis.__path__, "redis."):
        with suppress(ImportError):  # it needs a package that is not installed
            importlib.import_module(module.name)
    bases: list[type[Exception]] = [
        kind
        for kind in vars(redis.exceptions).values()
        if isinstance(kind, type) and issubclass(kind, Exception)
    ]
    while bases:
        bases += (kind := bases.pop()).__subclasses__()
        if kind.__module__.partition(".")[0] == "redis":
            yield kind
