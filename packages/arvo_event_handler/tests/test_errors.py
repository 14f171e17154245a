import copy
import json
import pickle
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

import arvo_event_handler
from arvo_core import (
    ArvoError,
    ArvoEvent,
    ArvoEventFactory,
    FieldProblem,
    SimpleArvoContract,
    SimpleVersion,
    ViolationError,
)
from arvo_event_handler import (
    ArvoEventHandler,
    ConfigViolation,
    ContractViolation,
    ExecutionViolation,
    HandlerInput,
    InvalidHandlerError,
    MachineMemoryError,
    MemoryInUseError,
    QueryTimeoutError,
    ResolveError,
    RetryableFailure,
    RetryLater,
    TransactionViolation,
    TransactionViolationCause,
    UndeliveredError,
    UnknownMemoryError,
    UnreadableRecordError,
    UnroutableError,
    UnwritableRecordError,
)

EVENT = ArvoEvent.create(
    id="request-1",
    source="com.shop.web",
    type="com.order.place",
    subject="order-7",
    data={"card": "4111"},
    to="com.order.place",
)

EXAMPLES: list[ArvoError] = [
    InvalidHandlerError(
        "1.1.0 has no function", problems=[FieldProblem(path=("1.1.0",), message="missing")]
    ),
    ContractViolation("no match", retryable=False, metadata={"path": ["a", 0]}),
    ConfigViolation("no such version"),
    ExecutionViolation("not now", retryable=True, metadata={"after": 5}),
    TransactionViolation("gone", cause=TransactionViolationCause.LEASE_LOST, subject="order-7"),
    RetryableFailure("away", replies=[EVENT], after=timedelta(seconds=5)),
    RetryLater("busy", after=timedelta(seconds=5)),
    MachineMemoryError("server away", retryable=True, outcome="unknown"),
    UnwritableRecordError("too large"),
    UnreadableRecordError("damaged"),
    QueryTimeoutError(),
    MemoryInUseError("shop"),
    UnknownMemoryError(scheme="files", installed=["sqlite"]),
    UnroutableError(EVENT),
    UndeliveredError(EVENT),
    ResolveError(EVENT, failures=[(EVENT, ExecutionViolation("not now", retryable=True))]),
]


def descendants(cls: type[BaseException]) -> Iterator[type[BaseException]]:
    for below in cls.__subclasses__():
        yield below
        yield from descendants(below)


def state(error: BaseException) -> object:
    """What two copies of an error must agree on; exceptions themselves compare by identity."""
    return type(error), error.args, {name: plain(value) for name, value in vars(error).items()}


def plain(value: object) -> object:
    if isinstance(value, BaseException):
        return state(value)
    if isinstance(value, tuple):
        return tuple(map(plain, value))
    return value


class TestEveryError:
    def test_has_an_example_here(self) -> None:
        tree = {
            cls for cls in descendants(ArvoError) if cls.__module__ == "arvo_event_handler._errors"
        }
        assert {type(example) for example in EXAMPLES} == tree

    @pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
    def test_survives_pickling_with_all_it_says(self, error: ArvoError) -> None:
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
            back = pickle.loads(pickle.dumps(error, protocol))  # noqa: S301
            assert str(back) == str(error)
            assert state(back) == state(error)

    @pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
    def test_survives_copying(self, error: ArvoError) -> None:
        assert state(copy.copy(error)) == state(error)

    @pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
    def test_is_public(self, error: ArvoError) -> None:
        assert type(error).__name__ in arvo_event_handler.__all__

    @pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
    def test_is_in_the_tree_that_the_module_shows(self, error: ArvoError) -> None:
        tree = arvo_event_handler._errors.__doc__ or ""
        assert f" {type(error).__name__} " in tree


class TestViolations:
    @pytest.mark.parametrize("cls", [ContractViolation, ConfigViolation, ExecutionViolation])
    def test_violations_are_not_retryable_by_default(self, cls: type[ViolationError]) -> None:
        assert not cls("no").retryable
        assert cls("no", retryable=True).retryable
        assert cls("no").metadata == {}

    def test_violations_have_one_base_class(self) -> None:
        violations = [error for error in EXAMPLES if isinstance(error, ViolationError)]
        assert {type(error).__name__ for error in violations} == {
            "ContractViolation",
            "ConfigViolation",
            "ExecutionViolation",
            "TransactionViolation",
            "RetryableFailure",
        }


class TestGroups:
    """Exceptions of a task group, as a handler function lets them out."""

    @staticmethod
    async def handle(error: Exception) -> list[ArvoEvent]:
        class Nothing(BaseModel):
            pass

        version = SimpleVersion("1.0.0", accepts=Nothing, emits=Nothing)
        contract = SimpleArvoContract(uri="#/order/place", type="order.place", versions=[version])

        async def place(call: HandlerInput[Any]) -> None:
            raise error

        handler = ArvoEventHandler(contract=contract, handler={"1.0.0": place})
        factory = ArvoEventFactory(contract.version(version))
        return await handler.execute(factory.accepts(source="com.shop.web", data=Nothing()))

    @pytest.mark.parametrize(
        ("retryable", "together"), [([True, True], True), ([True, False], False)]
    )
    async def test_of_violations_only_count_as_one(
        self, retryable: list[bool], together: bool
    ) -> None:
        violations = [ExecutionViolation(f"no {each}", retryable=each) for each in retryable]
        group = ExceptionGroup("outer", [ExceptionGroup("inner", violations[:1]), violations[1]])
        with pytest.raises(ExecutionViolation) as raised:
            await self.handle(group)
        assert raised.value.retryable is together
        assert str(raised.value).startswith("outer: no True; no ")
        assert raised.value.__cause__ is group

    @pytest.mark.parametrize(
        "error",
        [
            ExceptionGroup("mixed", [ExecutionViolation("no"), LookupError("lost")]),
            ExceptionGroup("ordinary", [LookupError("lost")]),
        ],
        ids=str,
    )
    async def test_with_anything_else_are_ordinary_errors(self, error: Exception) -> None:
        [event] = await self.handle(error)
        assert event.type == "sys.com.order.place.error"


class TestTransactionViolation:
    @pytest.mark.parametrize("cause", TransactionViolationCause)
    def test_the_cause_is_in_message_and_metadata(self, cause: TransactionViolationCause) -> None:
        violation = TransactionViolation("it broke", cause=cause, subject="order-7")
        assert str(violation) == f"[{cause.value}] it broke"
        assert (violation.cause, violation.subject) == (cause, "order-7")
        assert json.loads(json.dumps(violation.metadata)) == {
            "cause": cause.value,
            "subject": "order-7",
        }

    @pytest.mark.parametrize("cause", TransactionViolationCause)
    def test_can_be_retried_unless_the_subject_is_to_blame(
        self, cause: TransactionViolationCause
    ) -> None:
        violation = TransactionViolation("it broke", cause=cause, subject="order-7")
        assert violation.retryable is (cause.value != "INVALID_SUBJECT")

    @pytest.mark.parametrize("retryable", [True, False])
    def test_retryable_of_a_violation_may_differ_from_that_of_its_cause(
        self, retryable: bool
    ) -> None:
        violation = TransactionViolation(
            "m",
            cause=TransactionViolationCause.READ_FAILURE,
            subject="s",
            retryable=retryable,
        )
        assert violation.retryable is retryable

    def test_contention_differs_from_failure(self) -> None:
        assert {cause.value for cause in TransactionViolationCause if cause.is_contention} == {
            "LOCK_UNACQUIRED",
            "LEASE_LOST",
            "VERSION_MOVED",
        }

    def test_causes_are_spelled_as_everywhere_in_arvo(self) -> None:
        assert {cause.value for cause in TransactionViolationCause} >= {
            "READ_MACHINE_MEMORY_FAILURE",
            "LOCK_MACHINE_MEMORY_FAILURE",
            "WRITE_MACHINE_MEMORY_FAILURE",
            "LOCK_UNACQUIRED",
            "INVALID_SUBJECT",
        }


class TestMessages:
    def test_an_unroutable_event_is_named_with_the_remedy(self) -> None:
        error = UnroutableError(EVENT)
        assert error.event is EVENT
        for part in ("'com.order.place'", "'request-1'", "register one"):
            assert part in str(error)

    def test_a_failed_request_lists_what_failed_and_why(self) -> None:
        reply = ArvoEvent.create(
            id="reply-1", source="com.pay", type="evt.pay.success", subject="order-7", data={}
        )
        failures: list[tuple[ArvoEvent, Exception]] = [
            (EVENT, ExecutionViolation("not now")),
            (reply, LookupError("no card")),
        ]
        error = ResolveError(EVENT, failures=iter(failures))
        assert error.event is EVENT
        assert error.failures == tuple(failures)
        assert str(error).splitlines() == [
            "no answer to event 'request-1' of type 'com.order.place'",
            "  event 'request-1' of type 'com.order.place': ExecutionViolation: not now",
            "  event 'reply-1' of type 'evt.pay.success': LookupError: no card",
        ]

    @pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
    def test_no_error_shows_the_data_of_an_event(self, error: ArvoError) -> None:
        assert "4111" not in f"{error} {error!r}"
