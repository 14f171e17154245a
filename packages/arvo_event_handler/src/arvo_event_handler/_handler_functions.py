"""Checks the functions a handler is made of, when it is made."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, get_args, get_origin, get_type_hints

from typing_extensions import TypeIs

from arvo_core import ArvoContract, SemanticVersion

from ._errors import InvalidHandlerError


def check_functions(
    contract: ArvoContract, functions: Mapping[str, Callable[..., Any]], *, wrapper: type
) -> None:
    """Make sure that there is one fitting async function for each version of a contract.

    Args:
        contract: What the functions implement.
        functions: Async functions of one argument, by version.
        wrapper: The generic class around the payload in a function's annotation.

    Raises:
        InvalidHandlerError: A version has no function, a function no version, it is not async, or
            its annotation is not what the version accepts.
    """
    where = f"handler of {contract.uri!r} ({contract.type})"
    missing = [version for version in contract.versions if version not in functions]
    if missing:
        raise InvalidHandlerError(f"{where}: no function for version {', '.join(missing)}")
    unknown = [version for version in functions if version not in contract.versions]
    if unknown:
        known = ", ".join(contract.versions)
        raise InvalidHandlerError(
            f"{where}: the contract has no version {', '.join(unknown)}; it has {known}"
        )
    for version in sorted(functions, key=SemanticVersion.parse):
        function = functions[version]
        if not _is_async(function):
            raise InvalidHandlerError(
                f"{where}: the function for version {version} must be `async def`"
            )
        _check_annotation(f"{where}, version {version}", contract, version, function, wrapper)


def argument_annotations(function: Callable[..., Any], wrapper: type) -> list[Any]:
    """Return what stands in `wrapper[...]` in the annotation of a function's first argument.

    Raises:
        NameError: The annotation is text that cannot be resolved, as for local classes.
    """
    target = function if inspect.isroutine(function) else type(function).__call__
    names = [name for name in inspect.signature(function).parameters if name != "return"]
    annotation = get_type_hints(target).get(names[0]) if names else None
    members = [annotation] if get_origin(annotation) is wrapper else get_args(annotation)
    return [
        argument
        for member in members
        if get_origin(member) is wrapper
        for argument in get_args(member)
    ]


def _check_annotation(
    where: str, contract: ArvoContract, version: str, function: Callable[..., Any], wrapper: type
) -> None:
    payload = contract.version(version).accepts
    try:
        annotated = argument_annotations(function, wrapper)
    except NameError:
        return
    for kind in annotated:
        if _is_class(kind) and _is_class(payload.kind) and not issubclass(payload.kind, kind):
            raise InvalidHandlerError(
                f"{where}: {getattr(function, '__name__', function)} is annotated "
                f"{wrapper.__name__}[{kind.__name__}], but the contract accepts {payload.name}"
            )


def _is_class(kind: object) -> TypeIs[type]:
    # `Any` and `list[int]` are no classes to compare, though the former is an instance of `type`.
    return isinstance(kind, type) and kind is not Any and not get_args(kind)


def _is_async(function: object) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - the method itself is wanted
    )
