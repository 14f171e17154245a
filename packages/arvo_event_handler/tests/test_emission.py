"""The one place where outgoing events are made: ids, addresses, domains and data."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel, field_validator

from arvo_core import (
    ArvoContract,
    ArvoEvent,
    ArvoEventFactory,
    ArvoOrchestrationSubject,
    ArvoOrchestratorContract,
    ContractVersion,
    OrchestratorVersion,
)
from arvo_core.event_id import EventId, derive_id, parse_event_id
from arvo_event_handler import (
    ArvoDomain,
    ArvoEventHandler,
    ArvoResumable,
    Complete,
    ConfigViolation,
    ContractViolation,
    EmissionDomains,
    Emit,
    ExecutionViolation,
    HandlerInput,
    Outputs,
    Start,
    Step,
)

from .shop import (
    APP,
    CHARGE,
    ORDER,
    ORDER_V1,
    ORDERED,
    RESERVE,
    RESERVE_V1,
    AnyCall,
    Order,
    Ordered,
    Reserve,
    charge_contract,
    order,
    order_contract,
    reserve_contract,
    reserved,
    start,
)


class Ask(BaseModel):
    text: str = "hello"


class Said(BaseModel):
    text: str
    note: str | None = None


class Heard(BaseModel):
    times: int


class Listed(BaseModel):
    texts: list[str]


SAID = "evt.talk.said"
HEARD = "evt.talk.heard"
LISTED = "evt.talk.listed"
TALK_V1 = ContractVersion("1.0.0", accepts=Ask, emits={SAID: Said, HEARD: Heard, LISTED: Listed})
talk_contract = ArvoContract(
    uri="#/talk", type="com.talk.ask", versions=[TALK_V1], domain="talk.domain"
)


def ask(**options: Any) -> ArvoEvent:
    return ArvoEventFactory(talk_contract.version(TALK_V1)).accepts(
        source=APP, data=Ask(), **options
    )


async def answer(
    outputs: Outputs | Any, event: ArvoEvent | None = None, **options: Any
) -> list[ArvoEvent]:
    """Let a service return `outputs` for an event."""

    async def talk(call: HandlerInput[Ask]) -> Outputs:
        return outputs

    handler = ArvoEventHandler(contract=talk_contract, handler={"1.0.0": talk}, **options)
    return await handler.execute(event or ask())


async def request(
    requests: Sequence[Emit], event: ArvoEvent | None = None, **options: Any
) -> list[ArvoEvent]:
    """Let a workflow make `requests` when it starts."""

    async def flow(call: AnyCall) -> Step[Any]:
        return Step(services=requests)

    return await order(flow, **options).execute(event or start())


async def complete(
    output: Complete, event: ArvoEvent | None = None, **options: Any
) -> list[ArvoEvent]:
    """Let a workflow end with `output` when it starts."""

    async def flow(call: AnyCall) -> Step[Any]:
        return Step(output=output)

    return await order(flow, **options).execute(event or start())


class TestDerivedIds:
    """The same event again gives the same ids, so every consumer can drop duplicates."""

    async def test_same_event_again_same_ids(self) -> None:
        event = ask()
        outputs = [Emit(SAID, Said(text="a")), Emit(HEARD, Heard(times=1))]
        first, second = await answer(outputs, event), await answer(outputs, event)
        assert [each.id for each in first] == [each.id for each in second]

    async def test_the_id_is_made_of_what_the_promise_says(self) -> None:
        event = ask()
        _, said = await answer([Emit(HEARD, Heard(times=1)), Emit(SAID, Said(text="a"))], event)
        assert said.id == derive_id(
            event.source, event.id, event.subject, talk_contract.type, 1, None
        )

    @pytest.mark.parametrize(
        "other",
        [{"id": "another"}, {"source": "com.app.other"}, {"subject": "another"}],
        ids=["id", "source", "subject"],
    )
    async def test_another_event_gives_another_id(self, other: dict[str, str]) -> None:
        event = ask(id="one", subject="one")
        [first] = await answer(Emit(SAID, Said(text="a")), event)
        [second] = await answer(Emit(SAID, Said(text="a")), event.model_copy(update=other))
        assert first.id != second.id

    async def test_the_type_stays_out_so_that_the_first_outcome_wins(self) -> None:
        event = ask()
        [said] = await answer(Emit(SAID, Said(text="a")), event)
        [heard] = await answer(Emit(HEARD, Heard(times=1)), event)
        assert said.id == heard.id

    async def test_a_system_error_has_the_first_index(self) -> None:
        async def talk(call: HandlerInput[Ask]) -> Emit:
            raise LookupError("no words")

        event = ask()
        [error] = await ArvoEventHandler(contract=talk_contract, handler={"1.0.0": talk}).execute(
            event
        )
        assert error.id == derive_id(
            event.source, event.id, event.subject, talk_contract.type, 0, None
        )

    async def test_the_index_is_counted_before_the_domains(self) -> None:
        event = ask()
        fanned = Emit(SAID, Said(text="a"), domain=["x", "y"])
        *_, after = await answer([fanned, Emit(HEARD, Heard(times=1))], event)
        assert after.id == derive_id(
            event.source, event.id, event.subject, talk_contract.type, 1, None
        )

    async def test_a_completion_comes_after_the_requests(self) -> None:
        async def flow(call: AnyCall) -> Step[Any]:
            return Step(services=[Emit(RESERVE, {"item": "a"})], output=Complete({"total": 1}))

        event = start()
        _, done = await order(flow).execute(event)
        assert done.id == derive_id(event.source, event.id, event.subject, ORDER, 1, None)

    async def test_each_domain_has_its_own_id(self) -> None:
        event = ask()
        copies = await answer(Emit(SAID, Said(text="a"), domain=["x", None]), event)
        assert [copy.id for copy in copies] == [
            derive_id(event.source, event.id, event.subject, talk_contract.type, 0, domain)
            for domain in ("x", None)
        ]


class TestIdsOfTheUser:
    @pytest.mark.parametrize("wish", ["said-7", EventId.developer_managed(" said-7 ")])
    async def test_an_id_of_the_user_is_kept(self, wish: str | EventId) -> None:
        [said] = await answer(Emit(SAID, Said(text="a"), id=wish))
        assert said.id == "said-7"

    async def test_an_arvo_managed_id_carries_the_text(self) -> None:
        [said] = await answer(Emit(SAID, Said(text="a"), id=EventId.arvo_managed("said-7")))
        parsed = parse_event_id(said.id)
        assert parsed is not None
        assert parsed.value == "said-7"

    @pytest.mark.parametrize("blank", ["", "  ", "\ufeff", EventId.arvo_managed(" ")])
    async def test_a_blank_id_is_derived(self, blank: str | EventId) -> None:
        event = ask()
        [said] = await answer(Emit(SAID, Said(text="a"), id=blank), event)
        [derived] = await answer(Emit(SAID, Said(text="a")), event)
        assert said.id == derived.id

    async def test_the_first_of_several_copies_keeps_the_id(self) -> None:
        copies = await answer(Emit(SAID, Said(text="a"), id="said-7", domain=[None, "x", "y"]))
        assert [(copy.id, copy.domain) for copy in copies] == [
            ("said-7", None),
            (derive_id("said-7", "x"), "x"),
            (derive_id("said-7", "y"), "y"),
        ]

    async def test_a_completion_accepts_an_id_too(self) -> None:
        [done] = await complete(Complete(Ordered(total=1), id="done-7"))
        assert done.id == "done-7"

    async def test_two_events_of_one_step_cannot_share_an_id(self) -> None:
        twice = [Emit(SAID, Said(text="a"), id="same"), Emit(HEARD, Heard(times=1), id="same")]
        with pytest.raises(ConfigViolation, match="'same' is taken by another output"):
            await answer(twice)

    async def test_a_completion_cannot_share_an_id_with_a_request(self) -> None:
        async def flow(call: AnyCall) -> Step[Any]:
            return Step(
                services=[Emit(RESERVE, {"item": "a"}, id="same")],
                output=Complete({"total": 1}, id="same"),
            )

        with pytest.raises(ConfigViolation, match="'same' is taken"):
            await order(flow).execute(start())

    async def test_the_id_of_an_awaited_request_cannot_be_used_again(self) -> None:
        async def flow(call: AnyCall) -> Step[Any]:
            items = ["a", "b"] if isinstance(call, Start) else ["again"]
            return Step(
                services=[
                    Emit(RESERVE, {"item": item}, id=f"request-{n}") for n, item in enumerate(items)
                ]
            )

        flow_handler = order(flow)
        _, second = await flow_handler.execute(start())
        with pytest.raises(ConfigViolation, match=r"'request-0' is taken .* still awaited"):
            await flow_handler.execute(reserved(second))

    async def test_the_id_of_an_answered_request_can_be_used_again(self) -> None:
        async def flow(call: AnyCall) -> Step[Any]:
            return Step(services=[Emit(RESERVE, {"item": "a"}, id="request")])

        flow_handler = order(flow)
        [first] = await flow_handler.execute(start())
        [second] = await flow_handler.execute(reserved(first))
        assert second.id == "request"


class TestAddresses:
    async def test_an_answer_goes_to_the_asker(self) -> None:
        event = ask()
        [said] = await answer(Emit(SAID, Said(text="a")), event)
        assert (said.to, said.source, said.subject, said.parentid, said.redirectto) == (
            APP,
            talk_contract.type,
            event.subject,
            event.id,
            None,
        )

    @pytest.mark.parametrize(
        ("to", "redirectto", "expected"),
        [
            ("com.audit", "com.app.other", "com.audit"),
            (None, "com.app.other", "com.app.other"),
            (None, None, APP),
            ("", "com.app.other", "com.app.other"),
        ],
    )
    async def test_an_answer_goes_first_where_it_says_then_where_the_asker_wants_it(
        self, to: str | None, redirectto: str | None, expected: str
    ) -> None:
        [said] = await answer(Emit(SAID, Said(text="a"), to=to), ask(redirectto=redirectto))
        assert said.to == expected

    async def test_an_answer_may_redirect_its_own_answer(self) -> None:
        [said] = await answer(Emit(SAID, Said(text="a"), redirectto="com.app.next"))
        assert said.redirectto == "com.app.next"

    async def test_a_request_goes_to_its_type_and_its_answer_back_to_the_workflow(self) -> None:
        event = start()
        [asked] = await request([Emit(RESERVE, Reserve(item="tea"))], event)
        assert (asked.to, asked.redirectto, asked.subject, asked.parentid) == (
            RESERVE,
            ORDER,
            event.subject,
            event.id,
        )

    async def test_a_request_may_go_elsewhere(self) -> None:
        [asked] = await request(
            [Emit(RESERVE, Reserve(item="tea"), to="com.stock.two", redirectto="com.log")]
        )
        assert (asked.to, asked.redirectto) == ("com.stock.two", "com.log")

    async def test_a_completion_goes_to_the_initiator(self) -> None:
        event = start()
        [done] = await complete(Complete(Ordered(total=1)), event)
        assert (done.type, done.to, done.parentid, done.subject, done.redirectto) == (
            ORDERED,
            APP,
            event.id,
            event.subject,
            ORDER,
        )

    async def test_a_completion_goes_where_the_subject_redirects_it(self) -> None:
        [done] = await complete(Complete(Ordered(total=1)), start(redirectto="com.app.results"))
        assert done.to == "com.app.results"


class TestOtherAttributes:
    async def test_accesscontrol_defaults_to_that_of_the_event(self) -> None:
        event = ask(accesscontrol="role:clerk")
        inherited, said = await answer(
            [Emit(SAID, Said(text="a")), Emit(SAID, Said(text="a"), accesscontrol="role:boss")],
            event,
        )
        assert (inherited.accesscontrol, said.accesscontrol) == ("role:clerk", "role:boss")

    async def test_executionunits_default_to_those_of_the_handler(self) -> None:
        default, said, zero = await answer(
            [
                Emit(SAID, Said(text="a")),
                Emit(SAID, Said(text="a"), executionunits=2.5),
                Emit(SAID, Said(text="a"), executionunits=0),
            ],
            ask(executionunits=99),
            executionunits=7,
        )
        assert [each.executionunits for each in (default, said, zero)] == [7, 2.5, 0]

    async def test_executionunits_default_to_zero(self) -> None:
        [said] = await answer(Emit(SAID, Said(text="a")))
        assert said.executionunits == 0

    async def test_a_completion_may_set_its_own_executionunits(self) -> None:
        [default] = await complete(Complete(Ordered(total=1)), executionunits=7)
        [said] = await complete(Complete(Ordered(total=1), executionunits=2), executionunits=7)
        assert (default.executionunits, said.executionunits) == (7, 2)
        assert default.data == {"total": 1}

    async def test_a_completion_and_a_request_take_accesscontrol_on(self) -> None:
        event = start(accesscontrol="role:clerk")
        [done] = await complete(Complete(Ordered(total=1)), event)
        [asked] = await request([Emit(RESERVE, Reserve(item="tea"))], event)
        assert (done.accesscontrol, asked.accesscontrol) == ("role:clerk", "role:clerk")

    async def test_time_and_extensions_are_taken_over(self) -> None:
        moment = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
        [said] = await answer(
            Emit(SAID, Said(text="a"), time=moment, extensions={"tenant": "is", "retries": 2})
        )
        assert said.time == "2026-01-31T09:30:00.000+00:00"
        assert said.extensions == {"tenant": "is", "retries": 2}

    async def test_the_partition_key_is_an_extension_beside_the_others(self) -> None:
        [said] = await answer(
            Emit(SAID, Said(text="a"), partitionkey="tenant-7", extensions={"retries": 2})
        )
        assert said.extensions == {"retries": 2, "partitionkey": "tenant-7"}

    async def test_the_dataschema_is_the_contracts(self) -> None:
        [said] = await answer(Emit(SAID, Said(text="a"), dataschema="#/other/1.0.0"))
        assert said.dataschema == "#/talk/1.0.0"


class TestDomains:
    async def test_one_event_per_domain_in_order_without_repetition(self) -> None:
        copies = await answer(
            Emit(
                SAID,
                Said(text="a"),
                domain=["b", None, "a", "b", "", ArvoDomain.FROM_SELF_CONTRACT, "talk.domain"],
            )
        )
        assert [copy.domain for copy in copies] == ["b", None, "a", "talk.domain"]

    async def test_each_copy_has_data_of_its_own(self) -> None:
        first, second = await answer(Emit(LISTED, Listed(texts=["a"]), domain=["a", "b"]))
        first.data["texts"].append("b")
        assert second.data == {"texts": ["a"]}

    async def test_one_domain_may_be_given_alone(self) -> None:
        [said] = await answer(Emit(SAID, Said(text="a"), domain="human.approval"))
        assert said.domain == "human.approval"

    async def test_an_empty_list_would_drop_the_event_and_is_refused(self) -> None:
        with pytest.raises(ConfigViolation, match="an empty list of domains"):
            await answer(Emit(SAID, Said(text="a"), domain=[]))

    async def test_an_answer_goes_by_default_where_the_asker_is(self) -> None:
        event = ask(domain="branch.north").model_copy(update={"domain": "branch.south"})
        [said] = await answer(Emit(SAID, Said(text="a")), event)
        assert said.domain == "branch.north"

    async def test_defaults_can_be_chosen(self) -> None:
        domains = EmissionDomains(outputs=("audit", None))
        copies = await answer(Emit(SAID, Said(text="a")), domains=domains)
        assert [copy.domain for copy in copies] == ["audit", None]

    @pytest.mark.parametrize("inside", [ArvoDomain.LOCAL, [ArvoDomain.LOCAL], [None]])
    async def test_an_output_may_stay_inside_whatever_the_default_is(self, inside: Any) -> None:
        domains = EmissionDomains(outputs=("outside",))
        [said] = await answer(Emit(SAID, Said(text="a"), domain=inside), domains=domains)
        assert said.domain is None

    async def test_a_copy_may_stay_inside(self) -> None:
        copies = await answer(Emit(SAID, Said(text="a"), domain=["audit", ArvoDomain.LOCAL]))
        assert [copy.domain for copy in copies] == ["audit", None]

    async def test_a_request_stays_inside_by_default(self) -> None:
        event = start(domain="branch.north")
        [asked] = await request([Emit(RESERVE, Reserve(item="tea"))], event)
        assert asked.domain is None

    async def test_defaults_of_workflows_can_be_chosen(self) -> None:
        domains = EmissionDomains(services=("stock",), complete=("results",))
        [asked] = await request([Emit(RESERVE, Reserve(item="tea"))], domains=domains)
        [done] = await complete(Complete(Ordered(total=1)), domains=domains)
        assert (asked.domain, done.domain) == ("stock", "results")

    async def test_a_request_may_take_the_domain_of_the_services_contract(self) -> None:
        [asked] = await request(
            [Emit(talk_contract.type, Ask(), domain=ArvoDomain.FROM_EVENT_CONTRACT)],
            services=[talk_contract.version(TALK_V1)],
        )
        assert asked.domain == "talk.domain"

    async def test_a_completion_takes_domains_too(self) -> None:
        copies = await complete(Complete(Ordered(total=1), domain=[None, "reporting"]))
        assert [copy.domain for copy in copies] == [None, "reporting"]
        assert copies[0].id != copies[1].id

    async def test_an_invalid_literal_domain_is_refused(self) -> None:
        with pytest.raises(ContractViolation, match="domain"):
            await answer(Emit(SAID, Said(text="a"), domain="Not A Domain"))


class Picky(BaseModel):
    text: str

    @field_validator("text")
    @classmethod
    def look_up(cls, value: str) -> str:
        return {"known": "known"}[value]


class TestRefusals:
    """Any failure while building an output is a violation; nothing of the step goes out."""

    async def test_data_that_does_not_match_is_named_with_the_event_and_the_contract(self) -> None:
        event = ask(id="ask-1")
        with pytest.raises(ContractViolation) as caught:
            await answer([Emit(HEARD, Heard(times=1)), Emit(SAID, {"text": 7})], event)
        for part in ("evt.talk.said", "#/talk/1.0.0", "'ask-1'", "text"):
            assert part in str(caught.value)
        assert not caught.value.retryable

    async def test_a_type_the_contract_does_not_emit_names_the_contracts_searched(self) -> None:
        with pytest.raises(
            ContractViolation, match=r"'evt\.talk\.sung'; searched: #/talk/1\.0\.0"
        ) as caught:
            await answer(Emit("evt.talk.sung", {"text": "la"}), ask(id="ask-1"))
        assert "com.talk.ask cannot emit" in str(caught.value)
        assert "'ask-1'" in str(caught.value)

    async def test_a_request_that_no_service_accepts_names_the_contracts_searched(self) -> None:
        with pytest.raises(
            ContractViolation, match=r"searched: #/shop/stock/reserve/1\.0\.0, #/shop/payment"
        ):
            await request([Emit("com.stock.steal", {"item": "tea"})])

    async def test_a_workflow_without_services_has_searched_none(self) -> None:
        with pytest.raises(ContractViolation, match="searched: none"):
            await request([Emit("com.stock.steal", {"item": "tea"})], services=[])

    async def test_a_type_no_contract_knows_goes_out_with_its_own_dataschema(self) -> None:
        [sung] = await answer(Emit("evt.talk.sung", {"text": "la"}, dataschema="#/songs/1.0.0"))
        [asked] = await request([Emit("com.stock.steal", {"a": 1}, dataschema="#/thief/1.0.0")])
        assert (sung.data, sung.dataschema) == ({"text": "la"}, "#/songs/1.0.0")
        assert (asked.to, asked.dataschema) == ("com.stock.steal", "#/thief/1.0.0")

    async def test_without_a_contract_only_a_mapping_will_do(self) -> None:
        with pytest.raises(ContractViolation, match="pass a mapping"):
            await answer(Emit("evt.talk.sung", Said(text="la"), dataschema="#/songs/1.0.0"))

    async def test_what_is_not_json_is_refused_without_a_contract_too(self) -> None:
        with pytest.raises(ContractViolation, match="no contract"):
            await answer(Emit("evt.talk.sung", {"text": float("nan")}, dataschema="#/songs/1.0.0"))

    async def test_a_completion_as_a_request_would_leave_the_workflow_active(self) -> None:
        with pytest.raises(ContractViolation, match=r"return it as output=Complete\(\.\.\.\)"):
            await request([Emit(ORDERED, Ordered(total=1))])

    @pytest.mark.parametrize(
        "bad",
        [
            {"extensions": {"Bad-Key": 1}},
            {"extensions": {"subject": "x"}},
            {"executionunits": float("nan")},
            {"executionunits": "many"},
            {"time": "yesterday"},
            {"time": 5},
            {"to": 5},
            {"domain": 5},
            {"domain": [5]},
            {"id": 5},
            {"id": EventId.arvo_managed("\ud800")},
            {"extensions": 5},
        ],
        ids=str,
    )
    async def test_a_bad_attribute_is_a_violation_for_services_and_workflows(
        self, bad: dict[str, Any]
    ) -> None:
        with pytest.raises(ContractViolation, match=r"cannot emit evt\.talk\.said"):
            await answer(Emit(SAID, Said(text="a"), **bad))
        with pytest.raises(ContractViolation, match=r"cannot emit com\.stock\.reserve"):
            await request([Emit(RESERVE, Reserve(item="a"), **bad)])

    @pytest.mark.parametrize("output", [{}, 0, "", "evt", {"type": SAID}, [{"type": SAID}]])
    async def test_a_return_value_that_is_not_an_output_is_named(self, output: Any) -> None:
        with pytest.raises(ContractViolation, match=r"com\.talk\.ask 1\.0\.0 returned"):
            await answer(output)

    @pytest.mark.parametrize("nothing", [None, [], ()])
    async def test_nothing_emits_nothing(self, nothing: Outputs) -> None:
        assert await answer(nothing) == []

    async def test_a_validator_that_breaks_refuses_the_output(self) -> None:
        version = ContractVersion("1.0.0", accepts=Ask, emits={SAID: Picky})
        contract = ArvoContract(uri="#/picky", type="com.talk.ask", versions=[version])

        async def talk(call: HandlerInput[Ask]) -> Emit:
            return Emit(SAID, {"text": "unknown"})

        event = ArvoEventFactory(contract.version(version)).accepts(source=APP, data=Ask())
        with pytest.raises(ContractViolation, match="'unknown'"):
            await ArvoEventHandler(contract=contract, handler={"1.0.0": talk}).execute(event)


class TestData:
    async def test_a_mapping_is_parsed_by_the_contract(self) -> None:
        [heard] = await answer(Emit(HEARD, {"times": "3"}))
        assert heard.data == {"times": 3}

    async def test_an_absent_optional_member_stays_absent(self) -> None:
        unset, explicit = await answer(
            [Emit(SAID, Said(text="a")), Emit(SAID, Said(text="a", note=None))]
        )
        assert (unset.data, explicit.data) == ({"text": "a"}, {"text": "a", "note": None})


PARENT_V1 = OrchestratorVersion("1.0.0", init=Order, complete=Ordered)
parent_contract = ArvoOrchestratorContract(
    uri="#/shop/parent", name="shop.parent", versions=[PARENT_V1]
)


class TestChildWorkflows:
    async def child(self, emit: Emit, **options: Any) -> tuple[ArvoEvent, ArvoEvent]:
        """Let an order start a child; return the order's init event and the child's."""

        async def flow(call: AnyCall) -> Step[Any]:
            return Step(services=[emit])

        event = start(**options)
        [asked] = await order(flow, services=[parent_contract.version(PARENT_V1)]).execute(event)
        return event, asked

    async def test_a_model_starts_a_child_of_this_workflow(self) -> None:
        event, asked = await self.child(Emit(parent_contract.type, Order(items=["a"])))
        content = ArvoOrchestrationSubject.parse(asked.subject)
        assert asked.data == {"parentSubject$$": event.subject, "items": ["a"]}
        assert (content.orchestrator.name, content.orchestrator.version) == (
            parent_contract.type,
            "1.0.0",
        )
        assert content.execution.initiator == ORDER
        assert content.meta == {"redirectto": ORDER}
        assert (asked.to, asked.parentid, asked.redirectto) == (
            parent_contract.type,
            event.id,
            ORDER,
        )

    async def test_a_mapping_names_the_parent_of_the_child(self) -> None:
        emit = Emit(parent_contract.type, {"parentSubject$$": None, "items": ["a"]})
        event, asked = await self.child(emit)
        content = ArvoOrchestrationSubject.parse(asked.subject)
        assert content.execution.initiator == ORDER
        assert asked.data["parentSubject$$"] is None
        assert asked.subject != event.subject

    async def test_a_mapping_without_a_parent_starts_a_child_of_this_workflow(self) -> None:
        event, asked = await self.child(Emit(parent_contract.type, {"items": ["a"]}))
        assert asked.data == {"parentSubject$$": event.subject, "items": ["a"]}
        assert ArvoOrchestrationSubject.parse(asked.subject).execution.initiator == ORDER

    async def test_a_mapping_may_name_another_parent(self) -> None:
        other = start("other").subject
        emit = Emit(parent_contract.type, {"items": ["a"], "parentSubject$$": other})
        _, asked = await self.child(emit)
        assert asked.data == {"parentSubject$$": other, "items": ["a"]}

    async def test_a_parent_of_another_type_is_refused(self) -> None:
        emit = Emit(parent_contract.type, {"items": ["a"], "parentSubject$$": 7})
        with pytest.raises(ContractViolation, match=r"parentSubject\$\$"):
            await self.child(emit)

    async def test_an_invalid_parent_subject_is_an_execution_violation(self) -> None:
        emit = Emit(parent_contract.type, {"parentSubject$$": "order/7", "items": ["a"]})
        with pytest.raises(ExecutionViolation, match="pass this workflow's own subject or None"):
            await self.child(emit)

    async def test_the_child_answers_where_the_request_redirects(self) -> None:
        emit = Emit(parent_contract.type, Order(items=["a"]), redirectto="com.app.results")
        _, asked = await self.child(emit)
        assert asked.redirectto == "com.app.results"
        assert ArvoOrchestrationSubject.parse(asked.subject).meta == {
            "redirectto": "com.app.results"
        }

    @pytest.mark.parametrize("parent", [True, False])
    async def test_the_childs_domain_is_that_of_its_copy(self, parent: bool) -> None:
        data: Any = Order(items=["a"]) if parent else {"parentSubject$$": None, "items": ["a"]}

        async def flow(call: AnyCall) -> Step[Any]:
            return Step(services=[Emit(parent_contract.type, data, domain=["x", "y"])])

        copies = await order(flow, services=[parent_contract.version(PARENT_V1)]).execute(start())
        domains = [ArvoOrchestrationSubject.parse(copy.subject).execution.domain for copy in copies]
        assert domains == ["x", "y"] == [copy.domain for copy in copies]
        assert copies[0].subject != copies[1].subject

    async def test_without_a_domain_the_child_is_where_its_parent_is(self) -> None:
        _, asked = await self.child(
            Emit(parent_contract.type, Order(items=["a"])), domain="branch.north"
        )
        content = ArvoOrchestrationSubject.parse(asked.subject)
        assert (asked.domain, content.execution.domain) == (None, "branch.north")

    async def test_a_repeated_run_starts_the_same_child(self) -> None:
        async def flow(call: AnyCall) -> Step[Any]:
            return Step(services=[Emit(parent_contract.type, Order(items=["a"]))])

        event = start()
        services = [parent_contract.version(PARENT_V1)]
        [first] = await order(flow, services=services).execute(event)
        [second] = await order(flow, services=services).execute(event)
        assert (first.id, first.subject) == (second.id, second.subject)
        execution_id = ArvoOrchestrationSubject.parse(first.subject).execution.id
        assert execution_id == derive_id(first.id, "execution")

    async def test_the_childs_completion_answers_in_the_parents_workflow(self) -> None:
        event, asked = await self.child(Emit(parent_contract.type, Order(items=["a"])))

        async def child(call: AnyCall) -> Step[Any]:
            return Step(output=Complete(Ordered(total=4)))

        [done] = await ArvoResumable(
            contract=parent_contract,
            services=[],
            memory=order().memory,
            handler={"1.0.0": child},
        ).execute(asked)
        assert (done.subject, done.parentid, done.to, done.type) == (
            event.subject,
            asked.id,
            ORDER,
            "arvo.orc.shop.parent.done",
        )


def test_a_workflow_cannot_be_its_own_service() -> None:
    with pytest.raises(ConfigViolation, match="cannot be its own service"):
        order(services=[order_contract.version(ORDER_V1)])


async def test_a_request_may_name_any_of_its_services() -> None:
    asked = await request(
        [Emit(RESERVE, {"item": "a"}), Emit(CHARGE, {"amount": 1})],
        services=[reserve_contract.version(RESERVE_V1), charge_contract.version("latest")],
    )
    assert [each.dataschema for each in asked] == [
        "#/shop/stock/reserve/1.0.0",
        "#/shop/payment/charge/1.0.0",
    ]
