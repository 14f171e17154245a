"""The versions a contract is made of."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter
from typing_extensions import override

from ._frozen_mapping import FrozenMapping
from ._payload.payload import Payload

A = TypeVar("A")
E = TypeVar("E")


class VersionDefinition(ABC, Generic[A]):
    """One version of a contract: what it accepts and, as part of a contract, emits.

    Users write `ContractVersion`, `SimpleVersion` or `OrchestratorVersion`.
    """

    def __init__(self, version: str, *, accepts: Payload[A]) -> None:
        self.version = version
        """The semantic version as written."""
        self.accepts = accepts
        """Payload of the accepted event."""

    @abstractmethod
    def emitted(self, contract_type: str) -> Mapping[str, Payload[Any]]:
        """Return the emitted payloads by event type, for a contract of type `contract_type`."""

    @override
    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.version!r}, accepts={self.accepts.name})"


class ContractVersion(VersionDefinition[A]):
    """One version of an `ArvoContract`: the payload it accepts and those it may emit.

    Args:
        version: Three numbers, such as "1.0.0"; not 0.0.0.
        accepts: A pydantic model or a `TypeAdapter` that yields a JSON object.
        emits: The same for each event type that it may emit.

    Raises:
        InvalidContractError: A type cannot describe a payload; see `Payload`.
    """

    def __init__(
        self,
        version: str,
        *,
        accepts: type[A] | TypeAdapter[A],
        emits: Mapping[str, type[Any] | TypeAdapter[Any]],
    ) -> None:
        super().__init__(version, accepts=Payload(accepts, where=f"version {version}, accepts"))
        self._emits = FrozenMapping(
            {
                event_type: Payload[Any](kind, where=f"version {version}, emits {event_type!r}")
                for event_type, kind in emits.items()
            }
        )

    @override
    def emitted(self, contract_type: str) -> Mapping[str, Payload[Any]]:
        return self._emits


class SimpleVersion(VersionDefinition[A], Generic[A, E]):
    """One version of a `SimpleArvoContract`: one payload in, one payload out.

    Args:
        version: Three numbers, such as "1.0.0"; not 0.0.0.
        accepts: A pydantic model or a `TypeAdapter` that yields a JSON object.
        emits: The same for the success event.

    Raises:
        InvalidContractError: A type cannot describe a payload; see `Payload`.
    """

    def __init__(
        self,
        version: str,
        *,
        accepts: type[A] | TypeAdapter[A],
        emits: type[E] | TypeAdapter[E],
    ) -> None:
        super().__init__(version, accepts=Payload(accepts, where=f"version {version}, accepts"))
        self._emits: Payload[E] = Payload(emits, where=f"version {version}, emits")

    @override
    def emitted(self, contract_type: str) -> Mapping[str, Payload[Any]]:
        root = contract_type.removeprefix("com.")
        return FrozenMapping({f"evt.{root}.success": self._emits})
