"""What a resumable's function receives and returns."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Final

import pytest
from pydantic import BaseModel, field_validator

from arvo_core import (
    ArvoContract,
    ArvoEvent,
    ArvoEventFactory,
    ContractVersion,
    SimpleArvoContract,
    SimpleVersion,
    VersionedArvoContract,
)
from arvo_event_handler import (
    Complete,
    ConfigViolation,
    Emit,
    Reply,
    Start,
    Step,
    TransactionViolation,
    UnreadableRecordError,
)
from arvo_event_handler._workflow._collected_answers import CollectedAnswers
from arvo_event_handler._workflow._workflow import StoredReads
from arvo_event_handler.memory._collection import Collection
from arvo_event_handler.memory._kept_event import KeptEvent, WireEvent

from .shop import (
    CHARGE,
    CHARGE_V1,
    ORDER,
    ORDER_V1,
    RESERVE,
    RESERVE_V1,
    RESERVED,
    AnyCall,
    Charge,
    Charged,
    Order,
    Ordered,
    Reserve,
    Reserved,
    charge_contract,
    charged,
    order,
    order_contract,
    order_v1,
    reserve_contract,
    reserve_failed,
    reserved,
    start,
)


def event(name: str, **attributes: Any) -> ArvoEvent:
    attributes = {"source": "com.tea.ask", "to": ORDER, "data": {}, **attributes}
    return ArvoEvent.create(id=name, subject="s", parentid="request", **attributes)


class Text(BaseModel):
    text: str


TALK_V1 = ContractVersion(
    "1.0.0", accepts=Text, emits={"evt.talk.said": Text, "evt.talk.sung": Text}
)
talk_contract = ArvoContract(uri="#/talk", type="com.talk.ask", versions=[TALK_V1])


class Kept:
    """A workflow that asks both services twice and keeps what its function received."""

    def __init__(self) -> None:
        self.replies: list[Reply[dict[str, Any]]] = []
        self.metadata: Mapping[str, Any] = {}
        self.handler = order(
            self._flow,
            services=[
                reserve_contract.version(RESERVE_V1),
                charge_contract.version(CHARGE_V1),
                talk_contract.version(TALK_V1),
            ],
        )

    async def _flow(self, call: AnyCall) -> Step[dict[str, Any]]:
        if isinstance(call, Start):
            return Step(
                context={"n": 1},
                services=[
                    Emit(RESERVE, Reserve(item="a")),
                    Emit(RESERVE, Reserve(item="b")),
                    Emit(CHARGE, Charge(amount=1)),
                    Emit(talk_contract.type, Text(text="hello")),
                ],
            )
        self.replies.append(call)
        self.metadata = call.metadata
        return Step()

    async def started(self) -> list[ArvoEvent]:
        return await self.handler.execute(start(domain="branch.north"))

    async def reply(self, event: ArvoEvent) -> Reply[dict[str, Any]]:
        await self.handler.execute(event)
        return self.replies[-1]


class TestReplies:
    async def test_successes_in_the_order_of_the_requests(self) -> None:
        kept = Kept()
        first, second, *_ = await kept.started()
        call = await kept.reply(reserved(second, price=2))
        assert call.replies(RESERVE_V1) == [Reserved(price=2)]
        call = await kept.reply(reserved(first, price=1))
        assert call.replies(RESERVE_V1) == [Reserved(price=1), Reserved(price=2)]

    async def test_replies_are_empty_before_the_first_answer(self) -> None:
        kept = Kept()
        first, *_ = await kept.started()
        assert (await kept.reply(reserved(first))).replies(CHARGE_V1) == []

    async def test_each_service_has_its_own(self) -> None:
        kept = Kept()
        first, _, third, _ = await kept.started()
        await kept.reply(reserved(first))
        call = await kept.reply(charged(third))
        assert call.replies(CHARGE_V1) == [Charged(receipt="r-1")]

    async def test_system_errors_are_not_among_them_but_collected(self) -> None:
        kept = Kept()
        first, *_ = await kept.started()
        call = await kept.reply(reserve_failed(first, LookupError("sold out")))
        assert call.replies(RESERVE_V1) == []
        assert [event.type for event in call.collected["sys.com.stock.reserve.error"]] == [
            "sys.com.stock.reserve.error"
        ]

    async def test_one_of_several_event_types_must_be_named(self) -> None:
        kept = Kept()
        *_, last = await kept.started()
        said = ArvoEventFactory(talk_contract.version(TALK_V1)).emits(
            type="evt.talk.said",
            source=talk_contract.type,
            subject=last.subject,
            data=Text(text="hi"),
            parentid=last.id,
        )
        call = await kept.reply(said)
        assert call.replies(TALK_V1, type="evt.talk.said") == [Text(text="hi")]
        assert call.replies(TALK_V1, type="evt.talk.sung") == []
        with pytest.raises(ConfigViolation, match=r"name one of .*said, evt\.talk\.sung"):
            call.replies(TALK_V1)  # type: ignore[call-overload]
        with pytest.raises(ConfigViolation, match=r"name one of the types it emits"):
            call.replies(TALK_V1, type=RESERVED)

    async def test_an_unknown_service_is_refused_with_the_remedy(self) -> None:
        kept = Kept()
        first, *_ = await kept.started()
        other = SimpleVersion("1.0.0", accepts=Text, emits=Text)
        call = await kept.reply(reserved(first))
        with pytest.raises(ConfigViolation, match="list its contract in `services`"):
            call.replies(other)


class Counted(BaseModel):
    price: int

    @field_validator("price")
    @classmethod
    def _count(cls, price: int) -> int:
        parsed.append(price)
        return price


parsed: list[int] = []
COUNTED_V1 = SimpleVersion("1.0.0", accepts=Reserve, emits=Counted)
counted_contract = SimpleArvoContract(
    uri="#/shop/counted", type="stock.counted", versions=[COUNTED_V1]
)


class TestRepliesAreReadWhenLookedAt:
    async def replies(self, *prices: int) -> Sequence[Counted]:
        """Return the answers that a function has once all have come."""
        calls: list[Reply[Any]] = []

        async def ask(call: AnyCall) -> Step[Any]:
            if isinstance(call, Start):
                return Step(services=[Emit(counted_contract.type, {"item": "a"}) for _ in prices])
            calls.append(call)
            return Step()

        handler = order(ask, services=[counted_contract.version(COUNTED_V1)])
        for request, price in zip(await handler.execute(start()), prices, strict=True):
            emits = ArvoEventFactory(counted_contract.version(COUNTED_V1)).emits(
                type="evt.stock.counted.success",
                source=counted_contract.type,
                subject=request.subject,
                data={"price": price},
                parentid=request.id,
            )
            await handler.execute(emits)
        replies = calls[-1].replies(COUNTED_V1)
        parsed.clear()
        return replies

    async def test_length_and_truth_read_none(self) -> None:
        replies = await self.replies(1, 2, 3)
        assert (len(replies), bool(replies), parsed) == (3, True, [])
        assert repr(replies) == "<3 items, read when looked at>"
        assert parsed == []

    async def test_an_item_is_read_alone_and_anew_each_time(self) -> None:
        replies = await self.replies(1, 2, 3)
        assert replies[-1] == Counted.model_construct(price=3)
        assert parsed == [3]
        assert replies[-1] is not replies[-1]

    async def test_a_slice_reads_none_and_its_items_are_read_when_looked_at(self) -> None:
        some = (await self.replies(1, 2, 3))[1:]
        assert (len(some), parsed) == (2, [])
        assert [each.price for each in some] == [2, 3]

    async def test_they_equal_a_list_with_equal_items_and_nothing_else(self) -> None:
        replies = await self.replies(1, 2)
        same: Sequence[Counted] = [Counted.model_construct(price=price) for price in (1, 2)]
        others: Sequence[Sequence[Counted]] = [same, tuple(same), await self.replies(1, 2)]
        assert [replies == other for other in others] == [True, True, True]
        assert replies != same[:1]
        assert replies != same[::-1]
        assert replies.__eq__({1, 2}) is NotImplemented
        with pytest.raises(TypeError, match="unhashable"):
            hash(replies)


class TestServicesThatEmitOneType:
    """The data schema of an answer says whose it is."""

    PRICED: Final = "evt.shop.priced"

    def service(self, name: str) -> VersionedArvoContract[Any]:
        version = ContractVersion("1.0.0", accepts=Reserve, emits={self.PRICED: Reserved})
        contract = ArvoContract(uri=f"#/{name}", type=f"com.{name}.ask", versions=[version])
        return contract.version("1.0.0")

    def priced(self, name: str, price: int) -> ArvoEvent:
        schema = f"#/{name}/1.0.0"
        return event(f"{name}-{price}", type=self.PRICED, dataschema=schema, data={"price": price})

    def reply(self, *kept: KeptEvent) -> Reply[None]:
        current = self.priced("tea", 3)
        services = [self.service("tea"), self.service("cup")]
        answers = {answer.id: [answer] for answer in kept}
        return Reply(
            context=None,
            event=current,
            data=None,
            contract=order_contract.version(ORDER_V1),
            collected=CollectedAnswers(
                Collection({**answers, "request": []}), current=current, reads=StoredReads()
            ),
            services={service.type: service for service in services},
        )

    def test_each_has_its_own(self) -> None:
        call = self.reply(
            KeptEvent.of(self.priced("tea", 1).to_dict()),
            KeptEvent.of(self.priced("cup", 2).to_dict()),
        )
        tea, cup = call.services.values()
        assert call.replies(tea, type=self.PRICED) == [Reserved(price=1), Reserved(price=3)]
        assert call.replies(cup, type=self.PRICED) == [Reserved(price=2)]

    def test_a_damaged_answer_is_found_when_it_is_looked_at(self) -> None:
        """Left out, the workflow would wait for it."""

        def read() -> WireEvent:
            raise UnreadableRecordError("chunk 7 is damaged")

        damaged = KeptEvent(id="damaged", type=self.PRICED, read=read)
        call = self.reply(damaged)
        for service in call.services.values():
            replies = call.replies(service, type=self.PRICED)
            assert len(replies) == (2 if service.type == "com.tea.ask" else 1)
            with pytest.raises(TransactionViolation, match="chunk 7 is damaged"):
                list(replies)


class TestWhatAReplyTells:
    async def test_where_it_is_and_what_there_is(self) -> None:
        kept = Kept()
        first, *_ = await kept.started()
        call = await kept.reply(reserved(first, domain="warehouse"))
        assert call.context == {"n": 1}
        assert (call.source, call.contract.dataschema) == (ORDER, "#/shop/order/1.0.0")
        assert (call.domain.self, call.domain.event) == (None, "warehouse")
        assert call.event.type == RESERVED
        assert not call.span.is_recording()

    async def test_the_metadata_is_the_record_without_what_is_ours(self) -> None:
        kept = Kept()
        requests = await kept.started()
        call = await kept.reply(reserved(requests[0]))
        assert set(kept.metadata) == {
            "executionStatus",
            "status",
            "initEventId",
            "parentSubject",
            "subject",
            "events",
        }
        assert kept.metadata["initEventId"] == requests[0].parentid
        with pytest.raises(RuntimeError, match="after the function had returned"):
            call.metadata  # noqa: B018

    async def test_an_answer_to_nothing_that_is_awaited_is_not_collected(self) -> None:
        kept = Kept()
        first, *_ = await kept.started()
        call = await kept.reply(reserved(first, parentid="something else"))
        assert dict(call.collected) == {}
        assert call.data == Reserved(price=5)


def test_a_step_alone_waits() -> None:
    step: Step[Any] = Step()
    assert (step.context, tuple(step.services), step.output) == (None, (), None)


def test_a_step_is_immutable() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Step(context={"n": 1}).context = None  # type: ignore[misc]


class TestInAUnitTest:
    """A workflow's function is an ordinary one: call it, and look at the step it returns."""

    async def test_a_start_needs_an_event_its_data_and_the_contract(self) -> None:
        call = Start(
            event=start("tea"),
            data=Order(items=["tea"]),
            contract=order_contract.version(ORDER_V1),
        )
        assert (await order_v1(call)).services == [Emit(RESERVE, Reserve(item="tea"))]
        assert not call.span.is_recording()

    async def test_a_reply_needs_a_context_too(self) -> None:
        [request] = await order().execute(start("tea"))
        answer = reserved(request)
        call = Reply(
            context={"items": 1},
            event=answer,
            data=Reserved(price=5),
            contract=order_contract.version(ORDER_V1),
            collected={RESERVED: [answer]},
            services={RESERVE: reserve_contract.version(RESERVE_V1)},
        )
        assert (await order_v1(call)).output == Complete(Ordered(total=5))
        assert call.error is None


class TestRepliesByContract:
    """A version object belongs to one contract, which names it as well."""

    def test_services_that_share_a_version_object_are_refused(self) -> None:
        twin = type(reserve_contract)(
            uri="#/shop/stock/release", type="stock.release", versions=[RESERVE_V1]
        )
        with pytest.raises(ConfigViolation, match="share one version object") as caught:
            order(services=[reserve_contract.version(RESERVE_V1), twin.version(RESERVE_V1)])
        assert "#/shop/stock/reserve" in str(caught.value)
        assert "#/shop/stock/release" in str(caught.value)

    @pytest.mark.parametrize(
        "version",
        [RESERVE_V1, reserve_contract.version(RESERVE_V1), reserve_contract.version("1.0.0")],
    )
    async def test_replies_are_found_by_either(self, version: Any) -> None:
        seen: list[Sequence[Any]] = []

        async def flow(call: AnyCall) -> Step[Any]:
            if isinstance(call, Start):
                return Step(
                    services=[
                        Emit(RESERVE, Reserve(item="tea")),
                        Emit(CHARGE, Charge(amount=1)),
                    ]
                )
            seen.append(call.replies(version))
            return Step()

        handler = order(flow)
        tea, charge = await handler.execute(start())
        await handler.execute(charged(charge))
        await handler.execute(reserved(tea, price=3))
        assert seen == [[], [Reserved(price=3)]]
