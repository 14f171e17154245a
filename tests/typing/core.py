"""What type checkers make of arvo_core. Checked by mypy and basedpyright, never run."""

from typing import Any, assert_type

from pydantic import BaseModel, TypeAdapter
from typing_extensions import TypedDict

from arvo_core import (
    ArvoContract,
    ArvoEvent,
    ArvoEventFactory,
    ArvoOrchestrationSubject,
    ArvoOrchestratorContract,
    ArvoOrchestratorEventFactory,
    ContractVersion,
    DataSchema,
    OrchestratorVersion,
    Payload,
    SimpleArvoContract,
    SimpleVersion,
    SubjectContent,
    SystemErrorData,
    VersionedArvoContract,
)
from arvo_core.event_id import EventId, ManagedEventId, parse_event_id
from arvo_core.semantic_version import SemanticVersion


class UserCreate(BaseModel):
    name: str


class UserDelete(BaseModel):
    id: str


class UserCreated(BaseModel):
    id: str


class Typed(TypedDict):
    name: str


# --- contracts keep the type of what they accept ------------------------------

V1 = ContractVersion("1.0.0", accepts=UserCreate, emits={"evt.user.created": UserCreated})
V2 = ContractVersion("2.0.0", accepts=UserDelete, emits={})
V3 = ContractVersion("3.0.0", accepts=TypeAdapter(Typed), emits={})
contract = ArvoContract(uri="#/org/user", type="com.user.create", versions=[V1, V2, V3])

assert_type(V1, ContractVersion[UserCreate])
assert_type(contract.version(V1), VersionedArvoContract[UserCreate])
assert_type(contract.version(V2), VersionedArvoContract[UserDelete])
assert_type(contract.version(V3), VersionedArvoContract[Typed])
assert_type(contract.version("1.0.0"), VersionedArvoContract[Any])
assert_type(contract.version(V1).accepts, Payload[UserCreate])
assert_type(contract.version(V1).accepts.parse({}), UserCreate)
assert_type(contract.version(V1).system_error.parse({}), SystemErrorData)

SIMPLE_V1 = SimpleVersion("1.0.0", accepts=UserCreate, emits=UserCreated)
simple = SimpleArvoContract(uri="#/org/user", type="user.create", versions=[SIMPLE_V1])
assert_type(SIMPLE_V1, SimpleVersion[UserCreate, UserCreated])
assert_type(simple.version(SIMPLE_V1), VersionedArvoContract[UserCreate])

FLOW_V1 = OrchestratorVersion("1.0.0", init=UserCreate, complete=UserCreated)
flow = ArvoOrchestratorContract(uri="#/org/flow", name="flow", versions=[FLOW_V1])
assert_type(FLOW_V1, OrchestratorVersion[UserCreate, UserCreated])
assert_type(flow.version(FLOW_V1), VersionedArvoContract[UserCreate])

# Versions of another kind, and positional arguments for keyword-only parameters.
SimpleArvoContract(uri="#/x", type="a.b", versions=[V1])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
ArvoOrchestratorContract(uri="#/x", name="x", versions=[SIMPLE_V1])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
ArvoContract("#/x", "com.x.y", [V1])  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]

# --- factories take the model of their version or a mapping -------------------

factory = ArvoEventFactory(contract.version(V1))
assert_type(factory, ArvoEventFactory[UserCreate])
assert_type(factory.accepts(source="com.a.b", data=UserCreate(name="Ann")), ArvoEvent)
factory.accepts(source="com.a.b", data={"name": "Ann"})
factory.accepts(source="com.a.b", data=UserDelete(id="1"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
factory.accepts(source="com.a.b", data="Ann")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
factory.accepts(source="com.a.b", data=UserCreate(name="Ann"), urgent=True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
factory.accepts(source="com.a.b", data=UserCreate(name="Ann"), to=7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
assert_type(
    factory.emits(type="evt.user.created", source="com.a.b", data=UserCreated(id="1")), ArvoEvent
)
assert_type(factory.system_error(error=ValueError(), source="com.a.b"), ArvoEvent)
factory.system_error(error="oops", source="com.a.b")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

untyped = ArvoEventFactory(contract.version("1.0.0"))
untyped.accepts(source="com.a.b", data=UserDelete(id="1"))

flow_factory = ArvoOrchestratorEventFactory(flow.version(FLOW_V1))
assert_type(flow_factory, ArvoOrchestratorEventFactory[UserCreate])
assert_type(flow_factory.init(source="com.a.b", data=UserCreate(name="Ann")), ArvoEvent)
flow_factory.init(source="com.a.b", data=UserCreated(id="1"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

# --- events -------------------------------------------------------------------

event = ArvoEvent.create(
    source="com.a.b", type="com.a.b", subject="s", data={}, id=EventId.arvo_managed("x")
)
assert_type(event, ArvoEvent)
assert_type(ArvoEvent.from_json(event.to_json()), ArvoEvent)
assert_type(event.to, str | None)
assert_type(event.data, dict[str, Any])
assert_type(event.extensions, dict[str, str | bool | int | float | None])
event.id = "other"  # type: ignore[misc]  # pyright leaves it to run time
ArvoEvent.create(source="com.a.b", type="com.a.b", data={})  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
ArvoEvent.create(source="com.a.b", type="com.a.b", subject="s", data=[])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

# --- results that may be None -------------------------------------------------

assert_type(parse_event_id("x"), ManagedEventId | None)
assert_type(DataSchema.parse("#/x/1.0.0"), DataSchema | None)
assert_type(SemanticVersion.parse("1.0.0"), SemanticVersion)
assert_type(ArvoOrchestrationSubject.parse("x"), SubjectContent)
