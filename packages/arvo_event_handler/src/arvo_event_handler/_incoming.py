"""Decides which contract describes an event sent to a workflow, and parses its data by it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from arvo_core import (
    ArvoEvent,
    ArvoOrchestratorContract,
    DataSchema,
    SemanticVersion,
    SubjectContent,
    UnknownVersionError,
    VersionedArvoContract,
    is_wildcard_version,
)

from ._errors import ConfigViolation, ContractViolation
from ._event_data import parse_data, version_named


class WorkflowInput(NamedTuple):
    """An event's data and the contract that describes it."""

    service: VersionedArvoContract[Any] | None
    """The service that replied; None for the init event."""
    data: Any
    """The parsed data."""


def own_contract(
    event: ArvoEvent, content: SubjectContent, contract: ArvoOrchestratorContract
) -> VersionedArvoContract[Any]:
    """Return the workflow's contract in the subject's version.

    Raises:
        ConfigViolation: The contract has no such version.
    """
    try:
        return version_named(contract, content.orchestrator.version)
    except UnknownVersionError as error:
        raise ConfigViolation(
            f"event {event.id!r} of type {event.type!r}: its subject asks for a version the "
            f"workflow does not have: {error}"
        ) from error


def read_input(
    event: ArvoEvent,
    *,
    contract: VersionedArvoContract[Any],
    services: Mapping[str, VersionedArvoContract[Any]],
) -> WorkflowInput:
    """Validate an event for a workflow and parse its data.

    Args:
        event: An init event or a reply.
        contract: The workflow's own contract in the subject's version.
        services: The services it may ask.

    Raises:
        ConfigViolation: No service emits such an event.
        ContractViolation: The data schema is missing, unreadable or of another contract or
            version, or the data does not match.
    """
    if event.type == contract.type:
        _check_schema(event, [contract])
        return WorkflowInput(service=None, data=parse_data(event, contract, contract.accepts))
    emitters = [
        service
        for service in services.values()
        if event.type in service.emits or event.type == service.system_error_type
    ]
    if not emitters:
        known = ", ".join(service.dataschema for service in services.values()) or "none"
        raise ConfigViolation(
            f"{contract.type} cannot take event {event.id!r} of type {event.type!r}: "
            f"none of its services emits it ({known})"
        )
    service = _check_schema(event, emitters)
    payload = service.emits.get(event.type, service.system_error)
    return WorkflowInput(service=service, data=parse_data(event, service, payload))


def _check_schema(
    event: ArvoEvent, contracts: list[VersionedArvoContract[Any]]
) -> VersionedArvoContract[Any]:
    """Return the contract that the event's data schema names."""
    for contract in contracts:
        if event.dataschema == contract.dataschema:
            return contract
    return _check_other_schema(event, contracts)


def _check_other_schema(
    event: ArvoEvent, contracts: list[VersionedArvoContract[Any]]
) -> VersionedArvoContract[Any]:
    """Accept the wildcard version and other spellings of a version."""
    where = f"event {event.id!r} of type {event.type!r}"
    schema = None if event.dataschema is None else DataSchema.parse(event.dataschema)
    if schema is None:
        raise ContractViolation(
            f"{where} has no readable dataschema ({event.dataschema!r}); "
            f"expected {contracts[0].dataschema!r}"
        )
    contract = next((item for item in contracts if item.uri == schema.uri), None)
    if contract is None:
        raise ContractViolation(
            f"{where} is described by {event.dataschema!r}; "
            f"expected a version of {contracts[0].uri!r}"
        )
    if not is_wildcard_version(schema.version) and not _same(schema.version, contract.version):
        raise ContractViolation(
            f"{where} is described by {event.dataschema!r}; expected {contract.dataschema!r}"
        )
    return contract


def _same(left: str, right: str) -> bool:
    return left == right or SemanticVersion.parse(left) == SemanticVersion.parse(right)
