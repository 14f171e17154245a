"""Finds the contract version that describes an incoming event, and parses its data with it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from arvo_core import (
    PARENT_SUBJECT,
    ArvoContract,
    ArvoEvent,
    ArvoOrchestrationSubject,
    ArvoOrchestratorContract,
    DataSchema,
    InvalidDataError,
    InvalidSubjectError,
    Payload,
    SubjectContent,
    UnknownVersionError,
    VersionedArvoContract,
)
from arvo_core.semantic_version import SemanticVersion, is_wildcard_version

from ._errors import ConfigViolation, ContractViolation, ExecutionViolation


def event_schema(event: ArvoEvent) -> DataSchema | None:
    """Return an event's parsed data schema; None when it is missing or unreadable."""
    return None if event.dataschema is None else DataSchema.parse(event.dataschema)


def version_describing(
    event: ArvoEvent, *, contract: ArvoContract, otherwise: str = "latest", required: bool = False
) -> VersionedArvoContract[Any]:
    """Return a contract in the version that an event's data schema names, in any spelling.

    Args:
        event: The event, of a type that the contract describes.
        contract: The contract.
        otherwise: The version to return when the data schema names the wildcard version, is
            missing or unreadable.
        required: Whether there must be a readable data schema.

    Raises:
        ContractViolation: The data schema is of another contract, or missing or unreadable where
            it is required.
        UnknownVersionError: The contract has no such version.
    """
    schema = event_schema(event)
    if (schema is None and required) or (schema is not None and schema.uri != contract.uri):
        raise ContractViolation(
            f"{_named(event)} is described by {event.dataschema!r}; "
            f"expected a version of {contract.uri!r}"
        )
    if schema is None or is_wildcard_version(schema.version):
        return contract.version(otherwise)
    return version_named(contract, schema.version)


def version_named(contract: ArvoContract, version: str) -> VersionedArvoContract[Any]:
    """Return a contract in the version that an event names, in any spelling of the number.

    Raises:
        UnknownVersionError: The contract has no such version.
    """
    try:
        return contract.version(version)
    except UnknownVersionError:
        for known in contract.versions:
            if SemanticVersion.parse(known) == SemanticVersion.parse(version):
                return contract.version(known)
        raise


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
            f"{_named(event)}: its subject names a version that the workflow does not have: {error}"
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
            f"{contract.type} cannot take {_named(event)}: none of its services emits it ({known})"
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
    where = _named(event)
    schema = event_schema(event)
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


def read_subject(event: ArvoEvent) -> SubjectContent:
    """Return the decoded subject of an event for a workflow.

    Raises:
        ExecutionViolation: The subject is not an orchestration subject.
    """
    try:
        return ArvoOrchestrationSubject.parse(event.subject)
    except InvalidSubjectError as error:
        raise ExecutionViolation(
            f"{_named(event)} has no orchestration subject: {error}"
        ) from error


def check_parent_subject(event: ArvoEvent, parent_subject: str | None) -> None:
    """Check the parent's subject that an init event names; None means no parent.

    Raises:
        ExecutionViolation: The subject is not an orchestration subject.
    """
    if parent_subject is not None and not ArvoOrchestrationSubject.is_valid(parent_subject):
        raise ExecutionViolation(
            f"{_named(event)}: {PARENT_SUBJECT} is not an orchestration subject; "
            "pass the asking workflow's subject or null"
        )


def parse_data(
    event: ArvoEvent, contract: VersionedArvoContract[Any], payload: Payload[Any]
) -> Any:
    """Parse an event's data.

    Args:
        event: The event.
        contract: The contract that describes the event.
        payload: The contract's definition of the event's data.

    Raises:
        ContractViolation: The data does not match, or a validator of the payload raised an
            unexpected exception.
    """
    try:
        return payload.parse(event.data, is_json=True)
    except InvalidDataError as error:
        raise ContractViolation(
            f"{_named(event)} does not match {contract.dataschema!r}: {error}"
        ) from error
    except Exception as error:
        raise ContractViolation(
            f"{_named(event)} cannot be read by {contract.dataschema!r}; "
            f"{payload.name} raised {type(error).__name__}: {error}"
        ) from error


def _named(event: ArvoEvent) -> str:
    return f"event {event.id!r} of type {event.type!r}"
