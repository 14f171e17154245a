"""Reads an incoming event by the contract that describes it."""

from typing import Any

from arvo_core import (
    ArvoContract,
    ArvoEvent,
    InvalidDataError,
    Payload,
    SemanticVersion,
    UnknownVersionError,
    VersionedArvoContract,
)

from ._errors import ContractViolation


def version_named(contract: ArvoContract, version: str) -> VersionedArvoContract[Any]:
    """Return a contract in the version that an event names, however it spells the number.

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


def parse_data(
    event: ArvoEvent, contract: VersionedArvoContract[Any], payload: Payload[Any]
) -> Any:
    """Parse an event's data.

    Args:
        event: The event.
        contract: Whose event it is.
        payload: What the contract says of that event.

    Raises:
        ContractViolation: The data does not match, or a validator of the payload broke.
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
