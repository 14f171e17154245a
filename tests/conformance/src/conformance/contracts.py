"""The contract language: descriptions of contracts become contracts."""

from collections.abc import Mapping
from typing import Any

from arvo_core import (
    ArvoContract,
    ArvoOrchestratorContract,
    ContractVersion,
    OrchestratorVersion,
    SimpleArvoContract,
    SimpleVersion,
)

from .schema import payload_type

_SHARED = ("uri", "domain", "description", "metadata")


def contract(description: Mapping[str, Any]) -> ArvoContract:
    """Build the contract; an invalid one raises what our API raises."""
    shared = {name: description[name] for name in _SHARED if name in description}
    versions = description["versions"].items()
    match description["kind"]:
        case "contract":
            return ArvoContract(
                **shared, type=description["type"], versions=[_plain(*item) for item in versions]
            )
        case "simple":
            return SimpleArvoContract(
                **shared, type=description["type"], versions=[_simple(*item) for item in versions]
            )
        case "orchestrator":
            return ArvoOrchestratorContract(
                **shared,
                name=description["name"],
                versions=[_orchestrator(*item) for item in versions],
            )
        case kind:
            raise ValueError(f"unknown kind of contract: {kind!r}")


def _plain(version: str, payloads: Mapping[str, Any]) -> ContractVersion[Any]:
    return ContractVersion(
        version,
        accepts=payload_type(payloads["accepts"]),
        emits={name: payload_type(schema) for name, schema in payloads["emits"].items()},
    )


def _simple(version: str, payloads: Mapping[str, Any]) -> SimpleVersion[Any, Any]:
    return SimpleVersion(
        version, accepts=payload_type(payloads["accepts"]), emits=payload_type(payloads["emits"])
    )


def _orchestrator(version: str, payloads: Mapping[str, Any]) -> OrchestratorVersion[Any, Any]:
    return OrchestratorVersion(
        version, init=payload_type(payloads["init"]), complete=payload_type(payloads["complete"])
    )
