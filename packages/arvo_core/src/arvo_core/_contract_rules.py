"""Rules for the definition of a contract. `where` begins every message."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from ._contract_version import VersionDefinition
from ._errors import InvalidContractError
from ._event_rules import DOMAIN_PATTERN, TYPE_PATTERN
from ._uri import is_valid_uri
from ._version import SemanticVersion, is_semantic_version, is_wildcard_version

ORCHESTRATOR_PREFIX = "arvo.orc."
"""Prefix of the event types of orchestrator contracts."""

_TYPE = re.compile(TYPE_PATTERN, re.ASCII)
_DOMAIN = re.compile(DOMAIN_PATTERN, re.ASCII)


def is_orchestrator_event_type(type: str) -> bool:
    """Return whether an event type is reserved for orchestrator contracts.

    Example:
        >>> is_orchestrator_event_type("arvo.orc.order"), is_orchestrator_event_type("com.a.b")
        (True, False)
    """
    return type.startswith(ORCHESTRATOR_PREFIX)


def check_unprefixed(where: str, name: str, prefixes: Iterable[str]) -> None:
    """Refuse a name that already has a prefix which the contract adds."""
    for prefix in prefixes:
        if name.startswith(prefix):
            raise InvalidContractError(
                f"{where} {name!r} begins with {prefix!r}, which the contract adds; "
                f"write {name.removeprefix(prefix)!r}"
            )


def check_head(where: str, *, uri: str, type: str, domain: str | None, reserved: bool) -> None:
    """Check what all versions share; `reserved` refuses the event types of orchestrators."""
    if reserved and is_orchestrator_event_type(type):
        raise InvalidContractError(
            f"{where}: types that begin with {ORCHESTRATOR_PREFIX!r} are reserved; "
            "use ArvoOrchestratorContract"
        )
    if not uri or not is_valid_uri(uri):
        raise InvalidContractError(
            f"{where}: the uri must be non-empty and percent-encoded; see encode_uri"
        )
    if not _TYPE.fullmatch(type):
        raise InvalidContractError(
            f"{where}: the type must be three or more segments of a-z and 0-9 joined by dots"
        )
    if domain is not None and not _DOMAIN.fullmatch(domain):
        raise InvalidContractError(
            f"{where}: the domain {domain!r} must consist of a-z, 0-9 and dots, or be None"
        )


def check_versions(
    where: str,
    definitions: Sequence[VersionDefinition[Any]],
    *,
    kind: type[VersionDefinition[Any]],
) -> None:
    """Check that there are versions, all of one kind and with different numbers."""
    if not definitions:
        raise InvalidContractError(f"{where}: at least one version is needed")
    seen: dict[SemanticVersion, str] = {}
    for definition in definitions:
        if not isinstance(definition, kind):
            raise InvalidContractError(
                f"{where}: {definition!r} is not a version of this kind of contract; "
                f"use {kind.__name__}"
            )
        version = definition.version
        if not is_semantic_version(version):
            raise InvalidContractError(
                f"{where}: version {version!r} must be three numbers, such as '1.0.0'"
            )
        if is_wildcard_version(version):
            raise InvalidContractError(
                f"{where}: version {version!r} is reserved for 'any version'; begin with '1.0.0'"
            )
        number = SemanticVersion.parse(version)
        if number in seen:
            raise InvalidContractError(
                f"{where}: versions {seen[number]!r} and {version!r} are the same; keep one"
            )
        seen[number] = version


def check_emitted(where: str, event_types: Iterable[str], *, reserved: bool) -> None:
    """Check the types that a version emits; `reserved` refuses those of orchestrators."""
    for event_type in event_types:
        emitted = f"{where}: emitted type {event_type!r}"
        if reserved and is_orchestrator_event_type(event_type):
            raise InvalidContractError(
                f"{emitted} begins with {ORCHESTRATOR_PREFIX!r}, reserved for orchestrators"
            )
        if not _TYPE.fullmatch(event_type):
            raise InvalidContractError(
                f"{emitted} must be three or more segments of a-z and 0-9 joined by dots"
            )
