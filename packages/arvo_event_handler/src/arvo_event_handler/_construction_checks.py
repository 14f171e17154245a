"""Checks made when a handler is constructed: its functions, and a workflow's services."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from typing_extensions import TypeIs, is_protocol, is_typeddict

from arvo_core import ArvoContract, VersionedArvoContract
from arvo_core.semantic_version import SemanticVersion
from arvo_time.settings import is_async

from ._call import Addressed
from ._errors import ConfigViolation, InvalidHandlerError


def check_functions(
    contract: object,
    functions: object,
    *,
    kind: type[ArvoContract],
    inputs: tuple[type[Addressed], ...],
) -> None:
    """Check that there is one fitting async function for each version of a contract.

    Args:
        contract: What the functions implement.
        functions: Async functions of one argument, by version.
        kind: The kind of contract that such a handler implements.
        inputs: What such functions may receive; the first is generic in what the contract accepts.

    Raises:
        InvalidHandlerError: The contract is of another kind; a version lacks a function, or a
            function is for an unknown version; or a function is not async, takes another number
            of arguments, or is annotated with another type than the version accepts.
    """
    contract = _checked_contract(contract, kind)
    where = _handler_of(contract)
    if not isinstance(functions, Mapping):
        raise InvalidHandlerError(
            f"{where}: handler must map versions to functions, such as "
            f"{{{contract.versions[0]!r}: function}}; got {functions!r}"
        )
    missing = [version for version in contract.versions if version not in functions]
    if missing:
        raise InvalidHandlerError(f"{where}: no function for version {', '.join(missing)}")
    check_versions(contract, functions)
    for version in sorted(functions, key=SemanticVersion.parse):
        _check_function(f"{where}, version {version}", functions[version])
        _check_annotation(
            f"{where}, version {version}", contract.version(version), functions[version], inputs
        )


def check_versions(contract: ArvoContract, versions: Iterable[str]) -> None:
    """Check that a contract has all `versions`.

    Raises:
        InvalidHandlerError: It lacks one.
    """
    unknown = [str(version) for version in versions if version not in contract.versions]
    if unknown:
        known = ", ".join(contract.versions)
        raise InvalidHandlerError(
            f"{_handler_of(contract)}: the contract has no version {', '.join(unknown)}; "
            f"it has {known}"
        )


def argument_annotations(function: Callable[..., Any], wrapper: type[Addressed]) -> list[Any]:
    """Return the arguments of `wrapper[...]` in the annotation of a function's argument.

    Raises:
        Exception: The annotation is a string that cannot be resolved, as for local classes.
    """
    return [
        argument
        for member in argument_members(function)
        if get_origin(member) is wrapper
        for argument in get_args(member)
    ]


def argument_members(function: Callable[..., Any]) -> Iterator[Any]:
    """Yield the members of the union that a function's argument is annotated with."""
    names = list(inspect.signature(function).parameters)
    written: Any = function
    while isinstance(written, partial):
        written = written.func
    hints = get_type_hints(written if inspect.isroutine(written) else type(written).__call__)
    if names and names[0] in hints:
        yield from _members(hints[names[0]])


def _handler_of(contract: ArvoContract) -> str:
    return f"handler of {contract.uri!r} ({contract.type})"


def _checked_contract(contract: object, kind: type[ArvoContract]) -> ArvoContract:
    if isinstance(contract, kind):
        return contract
    meant = (
        "; did you mean the contract itself, without .version(...)?"
        if isinstance(contract, VersionedArvoContract)
        else ""
    )
    raise InvalidHandlerError(
        f"the handler's contract must be an {kind.__name__}, got {contract!r}{meant}"
    )


def _check_function(where: str, function: object) -> None:
    if not callable(function) or not is_async(function):
        raise InvalidHandlerError(f"{where}: the function must be `async def`, got {function!r}")
    signature = inspect.signature(function)
    try:
        signature.bind(None)
    except TypeError as error:
        raise InvalidHandlerError(
            f"{where}: expected a function of one argument, got {_name(function)}{signature}"
        ) from error


def _check_annotation(
    where: str,
    contract: VersionedArvoContract[Any],
    function: Callable[..., Any],
    inputs: tuple[type[Addressed], ...],
) -> None:
    try:
        members = list(argument_members(function))
    except Exception:
        return
    for member in members:
        origin = get_origin(member) or member
        if not isinstance(origin, type) or not issubclass(origin, Addressed):
            continue
        if origin not in inputs:
            wanted = " | ".join(f"{each.__name__}[...]" for each in inputs)
            raise InvalidHandlerError(
                f"{where}: {_name(function)} is annotated {origin.__name__}, but such a handler "
                f"calls its functions with {wanted}"
            )
        if origin is inputs[0]:
            for kind in get_args(member):
                _check_accepted(f"{where}: {_name(function)}", contract, kind, wrapper=origin)


def _check_accepted(
    where: str, contract: VersionedArvoContract[Any], annotated: object, *, wrapper: type
) -> None:
    payload = contract.accepts
    if annotated is payload.kind or not _is_class(annotated) or not _is_class(payload.kind):
        return
    if not issubclass(payload.kind, annotated):
        raise InvalidHandlerError(
            f"{where} is annotated {wrapper.__name__}[{annotated.__name__}], "
            f"but the contract accepts {payload.name}"
        )


def _members(annotation: Any) -> Iterator[Any]:
    """Yield the members of unions, `type` aliases and `Annotated`, at every depth."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if hasattr(origin, "__value__"):
        yield from _members(origin.__value__[arguments])
    elif hasattr(annotation, "__value__"):
        yield from _members(annotation.__value__)
    elif origin is Annotated:
        yield from _members(arguments[0])
    elif origin is Union or origin is UnionType:
        for member in arguments:
            yield from _members(member)
    else:
        yield annotation


def _name(function: Callable[..., Any]) -> str:
    return str(getattr(function, "__name__", function))


def _is_class(kind: object) -> TypeIs[type]:
    # `Any` and `list[int]` are not classes to compare, although `Any` is an instance of `type`;
    # typed dicts and protocols are classes that refuse to be compared.
    return (
        isinstance(kind, type)
        and kind is not Any
        and not get_args(kind)
        and not is_typeddict(kind)
        and not is_protocol(kind)
    )


def check_distinct_versions(
    contract: ArvoContract, services: Iterable[VersionedArvoContract[Any]]
) -> None:
    """Check that each service has a version object of its own.

    Raises:
        ConfigViolation: Two services share one, so that `call.replies(...)` with it would return
            the answers of only one of them.
    """
    owners: dict[int, VersionedArvoContract[Any]] = {}
    for service in services:
        other = owners.setdefault(id(service.definition), service)
        if other is not service:
            raise ConfigViolation(
                f"{contract.type}: services {other.uri!r} and {service.uri!r} share one version "
                f"object ({service.definition!r}), so call.replies(...) could not tell their "
                "answers apart; give each contract a version object of its own"
            )


def services_by_type(
    contract: ArvoContract, services: Iterable[object]
) -> dict[str, VersionedArvoContract[Any]]:
    """Index services by the event type they accept.

    Raises:
        ConfigViolation: A service is not a contract in one of its versions, two services share a
            URI or a type, or the workflow is its own service.
    """
    by_type: dict[str, VersionedArvoContract[Any]] = {}
    uris: set[str] = set()
    for service in services:
        if not isinstance(service, VersionedArvoContract):
            meant = (
                "; did you mean contract.version(...)?" if isinstance(service, ArvoContract) else ""
            )
            raise ConfigViolation(
                f"{contract.type}: service {service!r} is not a contract in one of its versions"
                f"{meant}"
            )
        if service.uri == contract.uri:
            raise ConfigViolation(f"{contract.type}: a workflow cannot be its own service")
        if service.uri in uris:
            raise ConfigViolation(
                f"{contract.type}: service {service.uri!r} is listed twice; keep one version"
            )
        if service.type in by_type:
            raise ConfigViolation(
                f"{contract.type}: services {by_type[service.type].uri!r} and {service.uri!r} "
                f"both accept {service.type!r}, so requests would be ambiguous; keep one"
            )
        uris.add(service.uri)
        by_type[service.type] = service
    return by_type
