"""Contracts of services with one request and one kind of success."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from ._contract import ArvoContract
from ._contract_rules import check_unprefixed
from ._contract_version import SimpleVersion, VersionDefinition


class SimpleArvoContract(ArvoContract):
    """A contract of a service that answers each request with one kind of success event.

    For `type="user.create"` the service accepts `com.user.create` and emits
    `evt.user.create.success`. TypeScript: `createSimpleArvoContract`.

    Args:
        uri: The contract's identity; a valid, non-empty URI or URI reference.
        type: At least two segments joined by dots, without a leading `com.` or `evt.`, which are
            put before it.
        versions: At least one; no two equal in number, none 0.0.0.
        domain: Where its events go when asked for the contract's domain; None for none.
        description: For people; None for none.
        metadata: Free JSON for tools; `contractType` and `rootType` are set by the contract.

    Raises:
        InvalidContractError: A rule is broken; the first one found is told.

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
