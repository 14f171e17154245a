"""Checks the services that a workflow may ask, when it is made."""

from collections.abc import Iterable
from typing import Any

from arvo_core import ArvoContract, VersionedArvoContract

from ._errors import ConfigViolation


def check_distinct_versions(
    contract: ArvoContract, services: Iterable[VersionedArvoContract[Any]]
) -> None:
    """Make sure that a version object tells one service from the others.

    Raises:
        ConfigViolation: Two services share one, so that `call.replies(...)` of it would have the
            answers of one of them only.
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
        ConfigViolation: One is not a contract in one of its versions, two share a URI or a type,
            or the workflow is its own service.
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
                f"both accept {service.type!r}; a request could not be told apart"
            )
        uris.add(service.uri)
        by_type[service.type] = service
    return by_type
