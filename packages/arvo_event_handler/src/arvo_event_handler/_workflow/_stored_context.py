"""The context of a resumable: its type, and how a record keeps it."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeAlias, get_origin

from pydantic import BaseModel, TypeAdapter

from arvo_core import (
    ArvoOrchestratorContract,
    InvalidContractError,
    InvalidDataError,
    JsonObject,
    Payload,
    json_problems,
)
from arvo_event_handler._construction_checks import argument_annotations
from arvo_event_handler._errors import ConfigViolation, InvalidHandlerError
from arvo_event_handler._stored_event import STORED_DEPTH
from arvo_event_handler.memory._record import CONTEXT
from arvo_event_handler.memory._state import WorkflowState

from ._resumable_call import Due, Reply
from ._stored_record import parse_stored, unreadable
from ._workflow import WorkflowFailure

ContextType: TypeAlias = type[Any] | TypeAdapter[Any]
"""A context's type: a pydantic model or a `TypeAdapter`."""

_JSON_OBJECT: Payload[Any] = Payload(TypeAdapter(JsonObject))


class StoredContext:
    """Reads and writes the contexts of one version of a resumable.

    Args:
        contract: The workflow's contract.
        version: The version.
        function: The version's function; the annotation of its argument names the context's type.
        kind: The context's type. None takes it from the annotation; without one, a context is any
            JSON object.

    Raises:
        InvalidHandlerError: The function's annotation cannot be resolved, or the context is not
            fit to be stored; see `Payload`.
    """

    def __init__(
        self,
        *,
        contract: ArvoOrchestratorContract,
        version: str,
        function: Callable[[Any], object],
        kind: ContextType | None,
    ) -> None:
        self._where = f"{contract.type} {version}"
        where = f"handler of {contract.uri!r}, version {version}"
        if kind is None:
            kind = _annotated(function, where, version)
        self._payload = _JSON_OBJECT if kind is None else _stored_by(kind, where)

    def load(self, state: WorkflowState) -> Any:
        """Return the context that a workflow has, as the caller's own copy; None if it has none.

        Raises:
            TransactionViolation: The record is not a resumable's.
            ConfigViolation: The deployed code cannot read the context any more.
        """
        if CONTEXT not in state.members:
            raise unreadable(state.subject, f"it lacks {CONTEXT}, so it is not a resumable's")
        stored = state.members[CONTEXT]
        if stored is None:
            return None
        if not isinstance(stored, dict):
            raise unreadable(state.subject, f"its {CONTEXT} is not an object")
        return parse_stored(self._payload, stored, what=f"{self._where}: the stored context")

    def dump(self, context: object, *, state: WorkflowState) -> Any:
        """Return the context for the next record; where it is None, the one before.

        Raises:
            WorkflowFailure: The context is not of the version's type, or not JSON.
            ConfigViolation: The context is a model that cannot be stored.
        """
        if context is None:
            return state.members.get(CONTEXT)
        payload = self._payload
        if payload is _JSON_OBJECT and isinstance(context, BaseModel):
            payload = self._payload_of(context)
        try:
            if payload is _JSON_OBJECT and (
                problems := json_problems(context, max_depth=STORED_DEPTH)
            ):
                raise InvalidDataError("it is not JSON", problems=problems)
            return _JSON_OBJECT.parse(payload.to_wire(context))
        except InvalidDataError as error:
            unfit = InvalidDataError(
                f"{self._where}: the context, a {type(context).__name__}, "
                f"cannot be stored as {payload.name}",
                problems=error.problems,
            )
            raise WorkflowFailure(unfit) from error

    def _payload_of(self, context: BaseModel) -> Payload[Any]:
        try:
            return _payload_of_model(type(context))
        except InvalidContractError as error:
            raise ConfigViolation(
                f"{self._where}: the context cannot be stored; {error}"
            ) from error


@lru_cache(maxsize=256)
def _payload_of_model(kind: type[BaseModel]) -> Payload[Any]:
    return Payload(kind)


def _annotated(function: Callable[[Any], object], where: str, version: str) -> ContextType | None:
    try:
        annotated = argument_annotations(function, Reply) or argument_annotations(function, Due)
    except Exception as error:
        raise InvalidHandlerError(
            f"{where}: its annotation cannot be resolved ({error}); move "
            f"the classes to module level or pass contexts={{{version!r}: ...}}"
        ) from error
    kinds = [kind for kind in annotated if kind is not Any and get_origin(kind) is not dict]
    return kinds[0] if kinds else None


def _stored_by(kind: ContextType, where: str) -> Payload[Any]:
    try:
        return Payload(kind, where=f"{where}: the context")
    except InvalidContractError as error:
        raise InvalidHandlerError(str(error)) from error
