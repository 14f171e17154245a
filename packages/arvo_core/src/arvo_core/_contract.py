"""Contracts: what a service accepts and emits, version by version."""

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Generic, overload

from typing_extensions import override

from ._contract_version import A, ContractVersion, VersionDefinition
from ._dataschema import DataSchema
from ._errors import InvalidContractError, UnknownVersionError
from ._event_rules import DOMAIN_PATTERN, TYPE_PATTERN
from ._payload import Payload
from ._system_error import SystemErrorData
from ._uri import is_valid_uri
from ._version import (
    WILDCARD_VERSION,
    SemanticVersion,
    is_semantic_version,
    is_wildcard_version,
)

ORCHESTRATOR_PREFIX = "arvo.orc."
"""Event types that begin so belong to orchestrator contracts."""

_TYPE = re.compile(TYPE_PATTERN, re.ASCII)
_DOMAIN = re.compile(DOMAIN_PATTERN, re.ASCII)
_SYSTEM_ERROR = Payload(SystemErrorData)


def is_orchestrator_event_type(type: str) -> bool:
    """Tell whether an event type is reserved for orchestrator contracts.

    Example:
        >>> is_orchestrator_event_type("arvo.orc.order"), is_orchestrator_event_type("com.a.b")
        (True, False)
    """
    return type.startswith(ORCHESTRATOR_PREFIX)


class VersionedArvoContract(Generic[A]):
    """A contract in one of its versions; what factories and handlers work with.

    Obtained from `contract.version(...)`. TypeScript: `VersionedArvoContract`.
    """

    __slots__ = (
        "accepts",
        "contract",
        "dataschema",
        "definition",
        "emits",
        "system_error_dataschema",
        "version",
    )

    def __init__(self, *, contract: "ArvoContract", definition: VersionDefinition[A]) -> None:
        self.contract = contract
        """The contract with all its versions."""
        self.definition = definition
        """The version object given when the contract was made."""
        self.version = definition.version
        """The semantic version as written."""
        self.accepts = definition.accepts
        """The payload of the event that `type` names."""
        self.emits = definition.emitted(contract.type)
        """Payloads by the type of event the service may emit, system errors apart."""
        self.dataschema = str(DataSchema(uri=contract.uri, version=definition.version))
        """What `dataschema` says on events of this version."""
        self.system_error_dataschema = str(DataSchema(uri=contract.uri, version=WILDCARD_VERSION))
        """What `dataschema` says on system errors, which all versions share."""

    @property
    def uri(self) -> str:
        """The contract's URI."""
        return self.contract.uri

    @property
    def type(self) -> str:
        """The event type that the service accepts."""
        return self.contract.type

    @property
    def domain(self) -> str | None:
        """The contract's domain; None for none."""
        return self.contract.domain

    @property
    def description(self) -> str | None:
        """The contract's description; None for none."""
        return self.contract.description

    @property
    def metadata(self) -> Mapping[str, Any]:
        """The contract's metadata."""
        return self.contract.metadata

    @property
    def system_error_type(self) -> str:
        """The type of the event that reports a failure of the service."""
        return self.contract.system_error_type

    @property
    def system_error(self) -> Payload[SystemErrorData]:
        """The payload of that event."""
        return _SYSTEM_ERROR

    def to_json_schema(self) -> dict[str, Any]:
        """Describe this version for people and tools of other languages.

        Raises:
            InvalidContractError: A type holds something JSON Schema cannot express.
        """
        return {
            "uri": self.uri,
            "description": self.description,
            "domain": self.domain,
            "version": self.version,
            "metadata": dict(self.metadata),
            **_payload_schemas(self),
        }

    @override
    def __repr__(self) -> str:
        return f"VersionedArvoContract({self.dataschema!r}, type={self.type!r})"


class ArvoContract:
    """A promise about events: what a service accepts and what it may emit, per version.

    TypeScript: `ArvoContract`, `createArvoContract`.

    Args:
        uri: The contract's identity; a valid, non-empty URI or URI reference.
        type: The event type that the service accepts; also the service's `source` and topic.
        versions: At least one `ContractVersion`; no two equal in number, none 0.0.0.
        domain: Where its events go when asked for the contract's domain; None for none.
        description: For people; None for none.
        metadata: Free JSON for tools.

    Raises:
        InvalidContractError: A rule is broken; the first one found is told.

    Example:
        >>> class Add(BaseModel):
        ...     numbers: list[float]
        >>> class Added(BaseModel):
        ...     result: float
        >>> V1 = ContractVersion("1.0.0", accepts=Add, emits={"evt.math.add.success": Added})
        >>> add = ArvoContract(uri="#/org/math/add", type="com.math.add", versions=[V1])
        >>> add.version("latest").dataschema
        '#/org/math/add/1.0.0'
    """

    _definition: ClassVar[type[VersionDefinition[Any]]] = ContractVersion
    _reserved: ClassVar[bool] = True  # whether types that begin with `arvo.orc.` are refused

    def __init__(
        self,
        *,
        uri: str,
        type: str,
        versions: Iterable[VersionDefinition[Any]],
        domain: str | None = None,
        description: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        definitions = list(versions)
        where = f"contract {uri!r} of type {type!r}"
        _check_head(where, uri, type, domain, reserved=self._reserved)
        _check_versions(where, definitions, self._definition)
        self.uri = uri
        self.type = type
        self.domain = domain
        self.description = description
        self.metadata: Mapping[str, Any] = MappingProxyType(dict(metadata or {}))
        self.system_error_type = f"sys.{type}.error"
        """The type of the event that reports a failure of the service."""
        self._declared = tuple(
            VersionedArvoContract(contract=self, definition=item) for item in definitions
        )
        for item in self._declared:
            _check_emitted(where, item, reserved=self._reserved)
        self._sorted = tuple(
            sorted(self._declared, key=lambda item: SemanticVersion.parse(item.version))
        )
        self._by_text = {item.version: item for item in self._declared}

    @property
    def versions(self) -> tuple[str, ...]:
        """The versions as written, oldest first."""
        return tuple(item.version for item in self._sorted)

    @overload
    def version(self, version: VersionDefinition[A]) -> VersionedArvoContract[A]: ...
    @overload
    def version(self, version: str) -> VersionedArvoContract[Any]: ...
    def version(self, version: VersionDefinition[Any] | str) -> VersionedArvoContract[Any]:
        """Return one version of the contract.

        Args:
            version: The object the contract was made with, which keeps the payload's type; or its
                text; or "latest" (also "any"); or "oldest".

        Raises:
            UnknownVersionError: The contract has no such version.
        """
        if isinstance(version, str):
            if version in {"latest", "any"}:
                return self._sorted[-1]
            if version == "oldest":
                return self._sorted[0]
            found = self._by_text.get(version)
        else:
            found = self._by_text.get(version.version)
            found = found if found is not None and found.definition is version else None
        if found is None:
            text = version if isinstance(version, str) else repr(version)
            raise UnknownVersionError(contract_uri=self.uri, version=text, versions=self.versions)
        return found

    def to_json_schema(self) -> dict[str, Any]:
        """Describe the contract for people and tools of other languages.

        Raises:
            InvalidContractError: A type holds something JSON Schema cannot express.
        """
        return {
            "uri": self.uri,
            "domain": self.domain,
            "description": self.description,
            "metadata": dict(self.metadata),
            "versions": [
                {
                    "domain": self.domain,
                    "version": item.version,
                    "metadata": dict(self.metadata),
                    **_payload_schemas(item),
                }
                for item in self._declared
            ],
        }

    @override
    def __repr__(self) -> str:
        versions = ", ".join(self.versions)
        return f"{type(self).__name__}({self.uri!r}, type={self.type!r}, versions={versions})"


def _payload_schemas(contract: VersionedArvoContract[Any]) -> dict[str, Any]:
    return {
        "accepts": {"type": contract.type, "schema": contract.accepts.json_schema()},
        "systemError": {
            "type": contract.system_error_type,
            "schema": contract.system_error.json_schema(),
        },
        "emits": [
            {"type": event_type, "schema": payload.json_schema()}
            for event_type, payload in contract.emits.items()
        ],
    }


def _check_head(where: str, uri: str, type: str, domain: str | None, *, reserved: bool) -> None:
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


def _check_versions(
    where: str,
    definitions: list[VersionDefinition[Any]],
    expected: type[VersionDefinition[Any]],
) -> None:
    if not definitions:
        raise InvalidContractError(f"{where}: at least one version is needed")
    seen: dict[SemanticVersion, str] = {}
    for definition in definitions:
        if not isinstance(definition, expected):
            raise InvalidContractError(
                f"{where}: {definition!r} is not a version of this kind of contract; "
                f"use {expected.__name__}"
            )
        text = definition.version
        if not is_semantic_version(text):
            raise InvalidContractError(
                f"{where}: version {text!r} must be three numbers, such as '1.0.0'"
            )
        if is_wildcard_version(text):
            raise InvalidContractError(
                f"{where}: version {text!r} is reserved for 'any version'; begin with '1.0.0'"
            )
        number = SemanticVersion.parse(text)
        if number in seen:
            raise InvalidContractError(
                f"{where}: versions {seen[number]!r} and {text!r} are the same; keep one"
            )
        seen[number] = text


def _check_emitted(where: str, contract: VersionedArvoContract[Any], *, reserved: bool) -> None:
    for event_type in contract.emits:
        emitted = f"{where}, version {contract.version}: emitted type {event_type!r}"
        if reserved and is_orchestrator_event_type(event_type):
            raise InvalidContractError(
                f"{emitted} begins with {ORCHESTRATOR_PREFIX!r}, reserved for orchestrators"
            )
        if not _TYPE.fullmatch(event_type):
            raise InvalidContractError(
                f"{emitted} must be three or more segments of a-z and 0-9 joined by dots"
            )
