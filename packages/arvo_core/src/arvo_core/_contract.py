"""Contracts: what a service accepts and emits, version by version."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Generic, overload

from typing_extensions import override

from ._contract_rules import check_emitted, check_head, check_unprefixed, check_versions
from ._contract_version import A, ContractVersion, SimpleVersion, VersionDefinition
from ._dataschema import DataSchema
from ._errors import UnknownVersionError
from ._frozen_mapping import FrozenMapping
from ._payload.payload import Payload
from ._system_error import SystemErrorData
from ._version import WILDCARD_VERSION, SemanticVersion

_SYSTEM_ERROR = Payload(SystemErrorData)


class VersionedArvoContract(Generic[A]):
    """One version of a contract, as factories and handlers use it.

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
        self.contract: ArvoContract = contract
        """The contract with all its versions."""
        self.definition: VersionDefinition[A] = definition
        """The version object given when the contract was made."""
        self.version: str = definition.version
        """The semantic version as written."""
        self.accepts: Payload[A] = definition.accepts
        """Payload of the accepted event."""
        self.emits: Mapping[str, Payload[Any]] = definition.emitted(contract.type)
        """Payloads by type of the events the service may emit, without system errors."""
        self.dataschema: str = str(DataSchema(uri=contract.uri, version=definition.version))
        """Value of `dataschema` on events of this version."""
        self.system_error_dataschema: str = str(
            DataSchema(uri=contract.uri, version=WILDCARD_VERSION)
        )
        """Value of `dataschema` on system errors, which all versions share."""

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
        """The contract's domain; None means no domain."""
        return self.contract.domain

    @property
    def description(self) -> str | None:
        """The contract's description, or None."""
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
        """Payload of the event that reports a failure."""
        return _SYSTEM_ERROR

    def to_json_schema(self) -> dict[str, Any]:
        """Describe this version for people and tools of other languages.

        Raises:
            InvalidContractError: A type contains something that JSON Schema cannot express.
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
        versions: At least one `ContractVersion`; numbers must differ, and 0.0.0 is reserved.
        domain: Domain of events that ask for their contract's; None means no domain.
        description: Text for people, or None.
        metadata: Free-form JSON for tools.

    Raises:
        InvalidContractError: A rule is broken; the message names the first one.

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
        check_head(where, uri=uri, type=type, domain=domain, reserved=self._reserved)
        check_versions(where, definitions, kind=self._definition)
        self.uri = uri
        self.type = type
        self.domain = domain
        self.description = description
        self.metadata: Mapping[str, Any] = FrozenMapping(metadata or {})
        self.system_error_type: str = f"sys.{type}.error"
        """The type of the event that reports a failure of the service."""
        self._declared = tuple(
            VersionedArvoContract(contract=self, definition=item) for item in definitions
        )
        for item in self._declared:
            check_emitted(f"{where}, version {item.version}", item.emits, reserved=self._reserved)
        self._sorted = tuple(
            sorted(self._declared, key=lambda item: SemanticVersion.parse(item.version))
        )
        self._by_version = {item.version: item for item in self._declared}

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
            version: The version object that the contract was made with, which keeps the payload's
                type; or the version as a string; or "latest" (also "any"); or "oldest".

        Raises:
            UnknownVersionError: The contract has no such version.
        """
        if isinstance(version, str):
            if version in {"latest", "any"}:
                return self._sorted[-1]
            if version == "oldest":
                return self._sorted[0]
            found = self._by_version.get(version)
        else:
            found = self._by_version.get(version.version)
            found = found if found is not None and found.definition is version else None
        if found is None:
            name = version if isinstance(version, str) else repr(version)
            raise UnknownVersionError(contract_uri=self.uri, version=name, versions=self.versions)
        return found

    def to_json_schema(self) -> dict[str, Any]:
        """Describe the contract for people and tools of other languages.

        Raises:
            InvalidContractError: A type contains something that JSON Schema cannot express.
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


class SimpleArvoContract(ArvoContract):
    """A contract of a service that answers each request with one kind of success event.

    For `type="user.create"` the service accepts `com.user.create` and emits
    `evt.user.create.success`. TypeScript: `createSimpleArvoContract`.

    Args:
        uri: The contract's identity; a valid, non-empty URI or URI reference.
        type: At least two segments joined by dots, without the prefixes `com.` and `evt.`, which
            the contract adds.
        versions: At least one; numbers must differ, and 0.0.0 is reserved.
        domain: Domain of events that ask for their contract's; None means no domain.
        description: Text for people, or None.
        metadata: Free-form JSON for tools; `contractType` and `rootType` are set by the contract.

    Raises:
        InvalidContractError: A rule is broken; the message names the first one.

    Example:
        >>> class Add(BaseModel):
        ...     numbers: list[float]
        >>> class Added(BaseModel):
        ...     result: float
        >>> V1 = SimpleVersion("1.0.0", accepts=Add, emits=Added)
        >>> add = SimpleArvoContract(uri="#/org/math/add", type="math.add", versions=[V1])
        >>> add.type, list(add.version(V1).emits)
        ('com.math.add', ['evt.math.add.success'])
    """

    _definition: ClassVar[type[VersionDefinition[Any]]] = SimpleVersion

    def __init__(
        self,
        *,
        uri: str,
        type: str,
        versions: Iterable[SimpleVersion[Any, Any]],
        domain: str | None = None,
        description: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        check_unprefixed(f"contract {uri!r}: the type", type, ("com.", "evt."))
        super().__init__(
            uri=uri,
            type=f"com.{type}",
            versions=versions,
            domain=domain,
            description=description,
            metadata={
                **(metadata or {}),
                "contractType": "SimpleArvoContract",
                "rootType": type,
            },
        )


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
