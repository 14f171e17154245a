"""Ways to break the transport in the process, and which behaviours of the suite must find each."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import pytest

Break: TypeAlias = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True, kw_only=True)
class Defect:
    """A way to break it, and all behaviours that fail then, by their names without `test_`."""

    name: str
    apply: Break
    behaviours: frozenset[str]


class Defects:
    """The defects of a module."""

    def __init__(self) -> None:
        self.all: list[Defect] = []

    def found_by(self, *behaviours: str) -> Callable[[Break], Break]:
        """Add a defect, and say which behaviours find it: these, and no others."""

        def add(apply: Break) -> Break:
            name = apply.__name__
            self.all.append(Defect(name=name, apply=apply, behaviours=frozenset(behaviours)))
            return apply

        return add


def rewire(patch: pytest.MonkeyPatch, owner: object, name: str) -> Callable[[Any], None]:
    """Return a decorator that puts a function in the place of an attribute.

    The function gets the original as its first argument. If it does not take what callers pass, the test
    fails: a transport that breaks at the call would be found by behaviours that see nothing of the defect.
    """

    def put(function: Any) -> None:
        original = getattr(owner, name)
        signature = inspect.signature(function)

        def replacement(*args: Any, **kwargs: Any) -> Any:
            try:
                signature.bind(original, *args, **kwargs)
            except TypeError as error:
                pytest.fail(f"the defect's {name}: {error}")
            return function(original, *args, **kwargs)

        patch.setattr(owner, name, replacement)

    return put
