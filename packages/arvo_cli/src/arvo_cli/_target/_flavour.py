"""Flavours: the kinds of handlers that a factory offers in its parameter `flavour`."""

import inspect
from collections.abc import Callable
from typing import Any, Final, Literal, get_args, get_origin

from arvo_cli._errors import CommandError, one_line

FLAVOUR: Final = "flavour"
"""The parameter with which a factory offers flavours. Its annotation, a Literal, names them."""


def flavour_argument(
    factory: Callable[..., object], flavour: str | None, *, target: str
) -> dict[str, str]:
    """Return the keyword argument to call a factory with, in addition to the memory.

    Args:
        factory: Makes the handlers.
        flavour: The user's choice; None for the factory's default.
        target: The target as the user wrote it.

    Returns:
        The keyword argument; empty when the factory offers no flavours, or for its default.

    Raises:
        CommandError: There are no flavours or none of that name, or the user has to choose.
    """
    parameter = _parameter(factory)
    if flavour is None and (parameter is None or parameter.default is not parameter.empty):
        return {}
    names = flavours(factory, target=target)
    if not names:
        raise CommandError(f"{target} has no flavours; leave --flavour out")
    if flavour is None:
        raise CommandError(f"{target} has flavours; choose with --flavour: {', '.join(names)}")
    if flavour not in names:
        raise CommandError(
            f"{target} has no flavour {flavour!r}; choose one of: {', '.join(names)}"
        )
    return {FLAVOUR: flavour}


def flavours(factory: Callable[..., object], *, target: str) -> tuple[str, ...]:
    """Return the names of the flavours that a factory offers; empty when it offers none.

    Raises:
        CommandError: The annotation of its parameter does not name them.
    """
    parameter = _parameter(factory)
    if parameter is None:
        return ()
    annotation: Any = parameter.annotation
    if isinstance(annotation, str):
        annotation = _evaluated_annotation(factory, target=target)
    names = get_args(annotation) if get_origin(annotation) is Literal else ()
    if not names or not all(isinstance(name, str) for name in names):
        raise CommandError(
            f"the factory of {target} must name its flavours in the annotation; "
            f'write `{FLAVOUR}: Literal["one", "other"] = "one"`'
        )
    return names


def _parameter(factory: Callable[..., object]) -> inspect.Parameter | None:
    try:
        return inspect.signature(factory).parameters.get(FLAVOUR)
    except (TypeError, ValueError):  # some callables written in C have no signature
        return None


def _evaluated_annotation(factory: Callable[..., object], *, target: str) -> object:
    try:
        return inspect.signature(factory, eval_str=True).parameters[FLAVOUR].annotation
    except Exception as error:  # an annotation may hold any expression
        raise CommandError(
            f"the annotations of the factory of {target} cannot be read: "
            f"{type(error).__name__}: {one_line(error)}"
        ) from error
