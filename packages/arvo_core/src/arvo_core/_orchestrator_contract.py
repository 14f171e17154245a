"""Contracts of workflows: the events that start and complete one."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Self, TypeVar

from pydantic import TypeAdapter
from typing_extensions import override

from ._contract import ArvoContract
from ._contract_rules import ORCHESTRATOR_PREFIX, check_unprefixed
from ._contract_version import A, VersionDefinition
from ._errors import FieldProblem, InvalidContractError, InvalidDataError
from ._frozen_mapping import FrozenMapping
from ._payload.payload import Payload

C = TypeVar("C")

PARENT_SUBJECT = "parentSubject$$"
"""The member of an init event's data with the parent workflow's subject; null at the root."""

_PARENT_SCHEMA = {
    "anyOf": [{"type": "string", "minLength": 1}, {"type": "null"}],
    "description": "The subject of the workflow that asks; null at the root.",
}
_NAME = re.compile(r"[a-z0-9.]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class OrchestratorEventTypes:
    """The event types of a workflow.

    Example:
        >>> OrchestratorEventTypes.of("order").complete
        'arvo.orc.order.done'
    """

    init: str
    """Starts the workflow; also its `source` and topic."""
    complete: str
    """Reports the workflow's result."""
    system_error: str
    """Reports the workflow's failure."""

    @classmethod
    def of(cls, name: str) -> Self:
        """Derive the types from the workflow's name, which is not checked."""
        init = f"{ORCHESTRATOR_PREFIX}{name}"
        return cls(init=init, complete=f"{init}.done", system_error=f"sys.{init}.error")


class InitPayload(Payload[A]):
    """The payload of an init event: the user's type and the parent's subject beside it."""

    __slots__ = ()

    @override
    def parse(self, data: object, *, is_json: bool = False) -> A:
        if not isinstance(data, Mapping):
            return super().parse(data)
        problems = _parent_problems(data)
        try:
            parsed = super().parse(_without_parent(data), is_json=is_json)
        except InvalidDataError as error:
            if problems:
                raise InvalidDataError(
                    f"data does not match {self.name}",
                    problems=[*problems, *error.problems],
                    unlisted=error.unlisted,
                ) from None
            raise
        if problems:
            raise InvalidDataError(f"data does not match {self.name}", problems=problems)
        return parsed

    @override
    def to_wire(self, data: object, *, parent_subject: str | None = None) -> dict[str, Any]:
        """Validate and dump, with the parent's subject as the first member.

        Args:
            data: The user's model; or a mapping, which must contain `parentSubject$$` unless
                `parent_subject` is a string.
            parent_subject: The parent's subject, for data that does not contain it. With None a
                model starts a root workflow.

        Raises:
            InvalidDataError: The data does not match, or cannot be written as a JSON object.
        """
        parent: object = parent_subject
        if isinstance(data, Mapping):
            if parent_subject is not None:
                data = {PARENT_SUBJECT: parent_subject, **data}
            parent = data.get(PARENT_SUBJECT)
        elif problems := _parent_problems({PARENT_SUBJECT: parent}):
            raise InvalidDataError(f"data does not match {self.name}", problems=problems)
        wire = None
        if not isinstance(data, Mapping):
            wire = self._written_directly(data, self._wire_form)
        elif not _parent_problems(data):
            wire = self._written_directly(_without_parent(data), self._wire_form)
        if wire is None:
            wire = self._checked(self.parse(data))
        if PARENT_SUBJECT in wire:
            taken = FieldProblem(
                path=(PARENT_SUBJECT,), message="must not be in the data; pass parent_subject"
            )
            raise InvalidDataError(f"data does not match {self.name}", problems=[taken])
        return {PARENT_SUBJECT: parent, **wire}

    @override
    def to_event_data(self, data: object) -> dict[str, Any]:
        return self.to_wire(data)

    @override
    def json_schema(self) -> dict[str, Any]:
        schema = super().json_schema()
        return _with_parent(schema, schema.get("$defs", {}))


class OrchestratorVersion(VersionDefinition[A], Generic[A, C]):
    """One version of an `ArvoOrchestratorContract`.

    Args:
        version: Three numbers, such as "1.0.0"; not 0.0.0.
        init: What starts the workflow: a pydantic model or a `TypeAdapter` that yields a JSON
            object. It must not define `parentSubject$$`, which the contract adds.
        complete: The same for the workflow's result.

    Raises:
        InvalidContractError: `init` defines `parentSubject$$`, or a type cannot describe a payload;
            see `Payload`.
    """

    def __init__(
        self,
        version: str,
        *,
        init: type[A] | TypeAdapter[A],
        complete: type[C] | TypeAdapter[C],
    ) -> None:
        payload = InitPayload(init, where=f"version {version}, init")
        if PARENT_SUBJECT in payload.member_names():
            raise InvalidContractError(
                f"version {version}: {payload.name} defines {PARENT_SUBJECT!r}, "
                "which the contract adds; remove the field"
            )
        super().__init__(version, accepts=payload)
        self._complete: Payload[C] = Payload(complete, where=f"version {version}, complete")

    @override
    def emitted(self, contract_type: str) -> Mapping[str, Payload[Any]]:
        return FrozenMapping({f"{contract_type}.done": self._complete})


class ArvoOrchestratorContract(ArvoContract):
    """A contract of a workflow, run by an orchestrator or a resumable.

    For `name="order"` the workflow is started by `arvo.orc.order` and completes with
    `arvo.orc.order.done`. TypeScript: `createArvoOrchestratorContract`.

    Args:
        uri: The contract's identity; a valid, non-empty URI or URI reference.
        name: Segments of a-z and 0-9 joined by dots, without the prefix `arvo.orc.`, which the
            contract adds.
        versions: At least one; numbers must differ, and 0.0.0 is reserved.
        domain: Domain of events that ask for their contract's; None means no domain.
        description: Text for people, or None.
        metadata: Free-form JSON for tools; the contract sets `contractType`, `rootType`,
            `completeEventType` and `initEventType`.

    Raises:
        InvalidContractError: A rule is broken; the message names the first one.

    Example:
        >>> class Order(BaseModel):
        ...     item: str
        >>> class Ordered(BaseModel):
        ...     tracking: str
        >>> V1 = OrchestratorVersion("1.0.0", init=Order, complete=Ordered)
        >>> order = ArvoOrchestratorContract(uri="#/org/order", name="order", versions=[V1])
        >>> order.type
        'arvo.orc.order'
    """

    _definition: ClassVar[type[VersionDefinition[Any]]] = OrchestratorVersion
    _reserved: ClassVar[bool] = False

    def __init__(
        self,
        *,
        uri: str,
        name: str,
        versions: Iterable[OrchestratorVersion[Any, Any]],
        domain: str | None = None,
        description: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        if not _NAME.fullmatch(name):
            raise InvalidContractError(
                f"contract {uri!r}: the name {name!r} must consist of a-z, 0-9 and dots"
            )
        check_unprefixed(f"contract {uri!r}: the name", name, (ORCHESTRATOR_PREFIX,))
        types = OrchestratorEventTypes.of(name)
        super().__init__(
            uri=uri,
            type=types.init,
            versions=versions,
            domain=domain,
            description=description,
            metadata={
                **(metadata or {}),
                "contractType": "ArvoOrchestratorContract",
                "rootType": name,
                "completeEventType": types.complete,
                "initEventType": types.init,
            },
        )
        self.complete_type: str = types.complete
        """The type of the completion event."""


def _without_parent(data: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name != PARENT_SUBJECT}


def _parent_problems(data: Mapping[str, Any]) -> list[FieldProblem]:
    if PARENT_SUBJECT not in data:
        return [FieldProblem(path=(PARENT_SUBJECT,), message="is required; null at the root")]
    parent = data[PARENT_SUBJECT]
    if parent is None or (isinstance(parent, str) and parent):
        return []
    return [FieldProblem(path=(PARENT_SUBJECT,), message="must be a non-empty string or null")]


def _with_parent(schema: dict[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """Add the member to a JSON Schema, and to each branch of a union, which might forbid it."""
    if "$ref" in schema:
        # A definition may be used elsewhere too, so the member is added to a copy.
        found = definitions[schema["$ref"].removeprefix("#/$defs/")]
        schema = {**{key: item for key, item in schema.items() if key != "$ref"}, **found}
    for keyword in ("oneOf", "anyOf"):
        if keyword in schema:
            branches = [_with_parent(branch, definitions) for branch in schema[keyword]]
            rest = {key: item for key, item in schema.items() if key != "discriminator"}
            return {**rest, keyword: branches}
    return {
        **schema,
        "properties": {PARENT_SUBJECT: _PARENT_SCHEMA, **schema.get("properties", {})},
        "required": [PARENT_SUBJECT, *schema.get("required", [])],
    }
