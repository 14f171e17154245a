"""Which contract describes an event that is sent to a workflow."""

from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import BaseModel, field_validator

from arvo_core import (
    ArvoContract,
    ArvoEvent,
    ArvoOrchestrationSubject,
    ArvoOrchestratorContract,
    ContractVersion,
    OrchestratorVersion,
    SystemErrorData,
    UnknownVersionError,
)
from arvo_event_handler import (
    ArvoResumable,
    ConfigViolation,
    ContractViolation,
    Emit,
    ExecutionViolation,
    Reply,
    SimpleMachineMemory,
    Start,
    Step,
    version_describing,
)

from .shop import (
    APP,
    ORDER,
    RESERVE,
    RESERVE_V1,
    AnyCall,
    Order,
    Ordered,
    Reserved,
    order,
    order_contract,
    order_v1,
    reserve_contract,
    reserve_failed,
    reserved,
    start,
)


class Kept:
    """An order workflow that keeps what its function received."""

    def __init__(self, **options: Any) -> None:
        self.calls: list[Start[Any] | Reply[Any]] = []
        self.handler = order(self._flow, **options)

    async def _flow(self, call: AnyCall) -> Step[Any]:
        self.calls.append(call)
        return Step(services=[Emit(RESERVE, {"item": "a"})] if isinstance(call, Start) else [])

    async def started(self) -> ArvoEvent:
        """Start it and return its request."""
        [request] = await self.handler.execute(start())
        self.calls.clear()
        return request


class TestSubject:
    async def test_an_invalid_subject_is_refused_before_the_memory_is_asked(self) -> None:
        event = start().model_copy(update={"subject": "order/7"})
        with pytest.raises(ExecutionViolation, match="has no orchestration subject"):
            await order().execute(event)

    async def test_another_workflows_event_is_ignored(self) -> None:
        subject = ArvoOrchestrationSubject.new(
            orchestrator="arvo.orc.other", version="1.0.0", initiator=APP
        )
        assert await order().execute(start(subject=subject)) == []

    async def test_a_version_the_workflow_does_not_have_is_a_config_violation(self) -> None:
        subject = ArvoOrchestrationSubject.new(orchestrator=ORDER, version="7.0.0", initiator=APP)
        with pytest.raises(ConfigViolation, match=r"names a version .*7\.0\.0"):
            await order().execute(start(subject=subject))

    async def test_a_version_is_a_number_however_it_is_spelled(self) -> None:
        subject = ArvoOrchestrationSubject.new(orchestrator=ORDER, version="01.0.0", initiator=APP)
        [request] = await order().execute(start(subject=subject))
        assert request.type == RESERVE

    async def test_the_subject_chooses_the_version(self) -> None:
        ran: list[str] = []

        async def old(call: AnyCall) -> Step[Any]:
            ran.append(call.contract.version)
            return Step()

        versions = [
            OrchestratorVersion(text, init=Order, complete=Ordered) for text in ("1.0.0", "2.0.0")
        ]
        contract = ArvoOrchestratorContract(
            uri="#/shop/order", name="shop.order", versions=versions
        )
        handler = ArvoResumable(
            contract=contract,
            services=[],
            memory=SimpleMachineMemory(),
            handler={"1.0.0": old, "2.0.0": old},
        )
        await handler.execute(start())
        assert ran == ["1.0.0"]


class TestStart:
    async def test_the_data_is_parsed_and_the_event_is_as_it_came(self) -> None:
        kept = Kept()
        event = start().model_copy(
            update={"data": {"parentSubject$$": None, "items": ("a", "b"), "unknown": 1}}
        )
        await kept.handler.execute(event)
        [call] = kept.calls
        assert isinstance(call, Start)
        assert call.data == Order(items=["a", "b"])
        assert call.event.data["unknown"] == 1

    async def test_the_wildcard_version_is_taken(self) -> None:
        kept = Kept()
        await kept.handler.execute(start().model_copy(update={"dataschema": "#/shop/order/0.0.0"}))
        assert len(kept.calls) == 1

    @pytest.mark.parametrize(
        ("dataschema", "why"),
        [
            (None, "no readable dataschema"),
            ("nonsense", "no readable dataschema"),
            ("#/shop/other/1.0.0", "expected a version of '#/shop/order'"),
            ("#/shop/order/2.0.0", "expected '#/shop/order/1.0.0'"),
            ("/1.0.0", "expected a version of"),
        ],
    )
    async def test_any_other_dataschema_is_refused(self, dataschema: str | None, why: str) -> None:
        event = start(id="start-7").model_copy(update={"dataschema": dataschema})
        with pytest.raises(ContractViolation, match=why) as caught:
            await order().execute(event)
        assert "'start-7'" in str(caught.value)

    @pytest.mark.parametrize(
        "data",
        [
            {"items": ["a"]},
            {"parentSubject$$": 7, "items": ["a"]},
            {"parentSubject$$": None, "items": "a"},
        ],
        ids=["no parent", "bad parent", "bad items"],
    )
    async def test_data_that_does_not_match_is_refused(self, data: dict[str, Any]) -> None:
        with pytest.raises(ContractViolation, match=r"does not match '#/shop/order/1\.0\.0'"):
            await order().execute(start().model_copy(update={"data": data}))

    async def test_an_invalid_parent_subject_is_refused(self) -> None:
        event = start().model_copy(update={"data": {"parentSubject$$": "order/7", "items": ["a"]}})
        with pytest.raises(ExecutionViolation, match=r"parentSubject\$\$ is not an orchestration"):
            await order().execute(event)

    async def test_a_validator_that_breaks_refuses_the_event(self) -> None:
        class Picky(BaseModel):
            text: str

            @field_validator("text")
            @classmethod
            def look_up(cls, value: str) -> str:
                return {"known": "known"}[value]

        async def flow(call: Start[Any] | Reply[Any]) -> Step[Any]:
            return Step()

        version = OrchestratorVersion("1.0.0", init=Picky, complete=Ordered)
        contract = ArvoOrchestratorContract(
            uri="#/shop/order", name="shop.order", versions=[version]
        )
        event = start().model_copy(update={"data": {"parentSubject$$": None, "text": "unknown"}})
        handler = ArvoResumable(
            contract=contract,
            services=[],
            memory=SimpleMachineMemory(),
            handler={"1.0.0": flow},
        )
        with pytest.raises(ContractViolation, match="KeyError: 'unknown'"):
            await handler.execute(event)


class TestReply:
    async def test_the_data_is_parsed(self) -> None:
        kept = Kept()
        request = await kept.started()
        reply = reserved(request).model_copy(update={"data": {"price": "7", "unknown": 1}})
        await kept.handler.execute(reply)
        [call] = kept.calls
        assert isinstance(call, Reply)
        assert (call.data, call.error) == (Reserved(price=7), None)
        assert call.event.data == {"price": "7", "unknown": 1}

    @pytest.mark.parametrize("version", ["0.0.0", "1.0.0"])
    async def test_a_system_error_is_taken_in_the_services_version_too(self, version: str) -> None:
        kept = Kept()
        request = await kept.started()
        error = reserve_failed(request, LookupError("sold out"))
        dataschema = f"#/shop/stock/reserve/{version}"
        await kept.handler.execute(error.model_copy(update={"dataschema": dataschema}))
        [call] = kept.calls
        assert isinstance(call, Reply)
        assert isinstance(call.error, SystemErrorData)
        assert (call.error.error_name, call.error.error_message) == ("LookupError", "sold out")

    async def test_before_the_start_nothing_is_known(self) -> None:
        kept = Kept()
        request = await Kept().started()
        assert await kept.handler.execute(reserved(request)) == []
        assert kept.calls == []

    async def test_a_type_no_service_emits_names_the_services(self) -> None:
        kept = Kept()
        request = await kept.started()
        reply = reserved(request).model_copy(update={"type": "evt.stock.stolen"})
        with pytest.raises(ConfigViolation, match=r"none of its services emits it .*#/shop/stock"):
            await kept.handler.execute(reply)

    async def test_without_services_the_error_lists_none(self) -> None:
        async def flow(call: AnyCall) -> Step[Any]:
            return Step()

        handler = order(flow, services=[])
        event = start()
        await handler.execute(event)
        with pytest.raises(ConfigViolation, match=r"\(none\)"):
            await handler.execute(reserved(event))

    @pytest.mark.parametrize(
        ("dataschema", "why"),
        [
            (None, "no readable dataschema"),
            ("#/shop/other/1.0.0", "expected a version of '#/shop/stock/reserve'"),
            ("#/shop/stock/reserve/2.0.0", "expected '#/shop/stock/reserve/1.0.0'"),
        ],
    )
    async def test_the_dataschema_must_be_the_services(
        self, dataschema: str | None, why: str
    ) -> None:
        kept = Kept()
        request = await kept.started()
        with pytest.raises(ContractViolation, match=why):
            await kept.handler.execute(
                reserved(request).model_copy(update={"dataschema": dataschema})
            )

    @pytest.mark.parametrize("version", ["0.0.0", "01.0.0", "1.0.0"])
    async def test_the_wildcard_and_other_spellings_of_the_version_are_taken(
        self, version: str
    ) -> None:
        kept = Kept()
        request = await kept.started()
        dataschema = f"#/shop/stock/reserve/{version}"
        await kept.handler.execute(reserved(request).model_copy(update={"dataschema": dataschema}))
        assert len(kept.calls) == 1

    async def test_data_that_does_not_match_is_refused(self) -> None:
        kept = Kept()
        request = await kept.started()
        with pytest.raises(ContractViolation, match="price: Field required"):
            await kept.handler.execute(reserved(request).model_copy(update={"data": {}}))
        assert kept.calls == []


class Text(BaseModel):
    text: str


class Number(BaseModel):
    number: int


TEXT_V1 = ContractVersion("1.0.0", accepts=Text, emits={"evt.lib.found": Text})
NUMBER_V1 = ContractVersion("1.0.0", accepts=Text, emits={"evt.lib.found": Number})
texts = ArvoContract(uri="#/texts", type="com.lib.texts", versions=[TEXT_V1])
numbers = ArvoContract(uri="#/numbers", type="com.lib.numbers", versions=[NUMBER_V1])


class TestTwoServicesThatEmitOneType:
    """The dataschema names the service."""

    def found(self, request: ArvoEvent, contract: ArvoContract, data: dict[str, Any]) -> ArvoEvent:
        return ArvoEvent.create(
            source=request.type,
            type="evt.lib.found",
            subject=request.subject,
            data=data,
            dataschema=f"{contract.uri}/1.0.0",
            parentid=request.id,
            to=ORDER,
        )

    async def test_each_reply_belongs_to_its_service(self) -> None:
        replies: list[tuple[Sequence[Any], Sequence[Any]]] = []

        async def flow(call: AnyCall) -> Step[Any]:
            if isinstance(call, Start):
                return Step(services=[Emit(each.type, {"text": "q"}) for each in (texts, numbers)])
            replies.append(
                (
                    call.replies(TEXT_V1, type="evt.lib.found"),
                    call.replies(NUMBER_V1, type="evt.lib.found"),
                )
            )
            return Step()

        handler = order(flow, services=[texts.version(TEXT_V1), numbers.version(NUMBER_V1)])
        first, second = await handler.execute(start())
        await handler.execute(self.found(first, texts, {"text": "t"}))
        await handler.execute(self.found(second, numbers, {"number": 7}))
        assert replies[-1] == ([Text(text="t")], [Number(number=7)])


class TestServices:
    def test_a_uri_is_listed_once(self) -> None:
        service = reserve_contract.version(RESERVE_V1)
        with pytest.raises(ConfigViolation, match="'#/shop/stock/reserve' is listed twice"):
            order(services=[service, service])

    def test_two_services_cannot_accept_one_type(self) -> None:
        other = ArvoContract(uri="#/other", type=RESERVE, versions=[TEXT_V1])
        with pytest.raises(ConfigViolation, match=r"'#/shop/stock/reserve' and '#/other' both"):
            order(services=[reserve_contract.version(RESERVE_V1), other.version(TEXT_V1)])

    def test_a_contract_without_a_version_is_refused_with_the_remedy(self) -> None:
        forgotten: Any = reserve_contract
        with pytest.raises(ConfigViolation, match=r"did you mean contract\.version\(\.\.\.\)\?"):
            order(services=[forgotten])

    def test_a_service_that_is_not_a_contract_is_refused(self) -> None:
        named: Any = {"stock": reserve_contract.version(RESERVE_V1)}
        with pytest.raises(ConfigViolation, match=r"service 'stock' is not a contract in one of"):
            order(services=named)


class TestMemory:
    @pytest.mark.parametrize(
        ("memory", "why"),
        [
            (
                None,
                r"None is not a machine memory: it lacks read\(\), write\(\), lock\(\), unlock\(\)",
            ),
            (SimpleMachineMemory, r"did you mean SimpleMachineMemory\(\.\.\.\)\?"),
        ],
        ids=["none", "a class"],
    )
    def test_an_object_that_is_not_a_memory_is_refused(self, memory: Any, why: str) -> None:
        with pytest.raises(ConfigViolation, match=why):
            ArvoResumable(
                contract=order_contract, services=[], memory=memory, handler={"1.0.0": order_v1}
            )


class TestVersionDescribing:
    contract = ArvoContract(
        uri="#/lib/text",
        type="com.lib.text",
        versions=[
            ContractVersion("1.0.0", accepts=Text, emits={}),
            ContractVersion("2.0.0", accepts=Text, emits={}),
        ],
    )

    def asked(self, dataschema: str | None) -> ArvoEvent:
        return ArvoEvent.create(
            source=APP,
            type="com.lib.text",
            subject="text-7",
            data={"text": "t"},
            dataschema=dataschema,
        )

    @pytest.mark.parametrize(
        ("dataschema", "version"),
        [
            ("#/lib/text/1.0.0", "1.0.0"),
            ("#/lib/text/0.0.0", "2.0.0"),
            ("#/lib/text/soon", "2.0.0"),
            (None, "2.0.0"),
        ],
    )
    def test_is_the_one_that_the_data_schema_names_or_the_latest(
        self, dataschema: str | None, version: str
    ) -> None:
        event = self.asked(dataschema)
        assert version_describing(event, contract=self.contract).version == version

    def test_is_the_given_one_where_the_data_schema_names_none(self) -> None:
        event = self.asked("#/lib/text/0.0.0")
        found = version_describing(event, contract=self.contract, otherwise="1.0.0", required=True)
        assert found.version == "1.0.0"

    @pytest.mark.parametrize("dataschema", [None, "#/lib/text/soon"])
    def test_a_readable_data_schema_may_be_required(self, dataschema: str | None) -> None:
        with pytest.raises(ContractViolation, match="expected a version of '#/lib/text'"):
            version_describing(self.asked(dataschema), contract=self.contract, required=True)

    def test_another_contract_is_refused(self) -> None:
        with pytest.raises(ContractViolation, match=r"'#/other/1\.0\.0'; expected a version of"):
            version_describing(self.asked("#/other/1.0.0"), contract=self.contract)

    def test_an_unknown_version_is_refused(self) -> None:
        with pytest.raises(UnknownVersionError, match=r"7\.0\.0"):
            version_describing(self.asked("#/lib/text/7.0.0"), contract=self.contract)
