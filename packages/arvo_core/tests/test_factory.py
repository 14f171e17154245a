"""Factories: events made according to a contract."""

import json
from typing import Any

import pytest
from pydantic import BaseModel

from arvo_core import (
    PARENT_SUBJECT,
    ArvoContract,
    ArvoEventFactory,
    ArvoOrchestrationSubject,
    ArvoOrchestratorContract,
    ArvoOrchestratorEventFactory,
    ContractVersion,
    InvalidDataError,
    InvalidEventError,
    InvalidSubjectError,
    OrchestratorVersion,
    SystemErrorData,
)
from arvo_core.event_id import EventId


class Place(BaseModel):
    item: str
    count: int = 1
    note: str | None = None


class Placed(BaseModel):
    id: str


V1 = ContractVersion("1.0.0", accepts=Place, emits={"evt.order.placed": Placed})
ORDER = ArvoContract(uri="#/org/order", type="com.order.place", versions=[V1], domain="eu")
FACTORY = ArvoEventFactory(ORDER.version(V1))

FLOW_V1 = OrchestratorVersion("2.0.0", init=Place, complete=Placed)
FLOW = ArvoOrchestratorContract(uri="#/org/flow", name="flow", versions=[FLOW_V1])
FLOW_FACTORY = ArvoOrchestratorEventFactory(FLOW.version(FLOW_V1))

PARENT = ArvoOrchestrationSubject.new(
    orchestrator="arvo.orc.parent",
    version="1.0.0",
    initiator="com.app.main",
    domain="partner.eu",
    meta={"tenant": "x"},
)


class TestAccepts:
    def test_the_contract_determines_type_and_dataschema(self) -> None:
        event = FACTORY.accepts(source="com.app.main", data=Place(item="tea"))
        assert (event.type, event.to) == ("com.order.place", "com.order.place")
        assert event.dataschema == "#/org/order/1.0.0"
        assert event.domain is None

    def test_accepted_data_is_normalised(self) -> None:
        event = FACTORY.accepts(source="com.app.main", data={"item": "tea", "count": "2", "x": 1})
        assert event.data == {"item": "tea", "count": 2}

    def test_an_optional_member_that_is_absent_stays_absent(self) -> None:
        assert "note" not in FACTORY.accepts(source="com.app.main", data={"item": "tea"}).data

    def test_a_new_subject_names_the_requester(self) -> None:
        event = FACTORY.accepts(
            source="com.app.main", data=Place(item="tea"), domain="a.b", redirectto="com.audit"
        )
        subject = ArvoOrchestrationSubject.parse(event.subject)
        assert subject.orchestrator.name == "com.order.place"
        assert subject.orchestrator.version == "1.0.0"
        assert subject.execution.initiator == "com.app.main"
        assert subject.execution.domain == "a.b"
        assert subject.meta == {"redirectto": "com.audit"}

    def test_a_given_subject_is_kept(self) -> None:
        event = FACTORY.accepts(source="/app", data=Place(item="tea"), subject="order/7")
        assert event.subject == "order/7"

    def test_a_new_subject_needs_a_reverse_dns_source(self) -> None:
        with pytest.raises(InvalidSubjectError, match=r"execution\.initiator"):
            FACTORY.accepts(source="/app", data=Place(item="tea"))

    def test_error_about_wrong_data_names_contract_version_and_path(self) -> None:
        with pytest.raises(InvalidDataError) as caught:
            FACTORY.accepts(source="com.app.main", data={"item": ["hunter2"]})
        message = str(caught.value)
        assert "com.order.place of #/org/order/1.0.0: data does not match Place" in message
        assert "\n  item: " in message
        assert "hunter2" not in message

    def test_options_reach_the_event(self) -> None:
        options: dict[str, Any] = {
            "time": "2026-01-31T09:30:00Z",
            "to": "com.queue.orders",
            "accesscontrol": "role:clerk",
            "redirectto": "com.audit",
            "executionunits": 2.5,
            "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "tracestate": "vendor=1",
            "parentid": "evt-0",
            "domain": "a.b",
        }
        event = FACTORY.accepts(
            source="com.app.main",
            data=Place(item="tea"),
            id=EventId.developer_managed("evt-1"),
            extensions={"tenant": "eu"},
            **options,
        )
        assert event.id == "evt-1"
        assert event.extensions == {"tenant": "eu"}
        assert {name: getattr(event, name) for name in options} == options

    def test_wrong_options_are_reported_as_for_any_event(self) -> None:
        with pytest.raises(InvalidEventError, match="to: an extension may not be named like"):
            FACTORY.accepts(
                source="com.app.main", data=Place(item="tea"), extensions={"to": "com.x.y"}
            )

    def test_an_unknown_option_is_a_type_error(self) -> None:
        with pytest.raises(TypeError, match="urgent"):
            FACTORY.accepts(source="com.app.main", data=Place(item="tea"), urgent=True)  # type: ignore[call-arg]


class TestEmits:
    def test_emits_makes_an_event_of_an_emitted_type(self) -> None:
        event = FACTORY.emits(
            type="evt.order.placed", source="com.order.place", data=Placed(id="7"), subject="s"
        )
        assert (event.type, event.dataschema) == ("evt.order.placed", "#/org/order/1.0.0")
        assert event.data == {"id": "7"}

    def test_a_new_subject_names_the_emitted_type(self) -> None:
        event = FACTORY.emits(type="evt.order.placed", source="com.order.place", data={"id": "7"})
        subject = ArvoOrchestrationSubject.parse(event.subject)
        assert subject.orchestrator.name == "evt.order.placed"

    @pytest.mark.parametrize("type", ["evt.order.lost", "com.order.place", ORDER.system_error_type])
    def test_error_about_an_unknown_type_names_the_known_ones(self, type: str) -> None:
        with pytest.raises(
            InvalidDataError, match=r"#/org/order/1\.0\.0 does not emit .* it emits evt"
        ):
            FACTORY.emits(type=type, source="com.order.place", data={"id": "7"})

    def test_a_contract_without_emitted_types_emits_nothing(self) -> None:
        silent = ContractVersion("1.0.0", accepts=Place, emits={})
        contract = ArvoContract(uri="#/x", type="com.x.y", versions=[silent])
        with pytest.raises(InvalidDataError, match="it emits nothing"):
            ArvoEventFactory(contract.version(silent)).emits(
                type="evt.x.y", source="com.x.y", data={}
            )

    def test_error_about_wrong_data_names_contract_version_and_path(self) -> None:
        with pytest.raises(
            InvalidDataError, match=r"evt\.order\.placed of #/org/order/1\.0\.0"
        ) as caught:
            FACTORY.emits(type="evt.order.placed", source="com.order.place", data=Place(item="tea"))
        assert caught.value.problems


class TestSystemError:
    def test_a_described_error_is_the_data(self) -> None:
        try:
            raise ValueError("no tea")
        except ValueError as error:
            described = SystemErrorData.from_exception(error, stack=False)
            raised = error
        options: Any = {"source": "com.order.place", "subject": "s"}
        without = FACTORY.system_error(error=described, **options)
        whole = FACTORY.system_error(error=raised, **options)
        assert (without.data["errorMessage"], without.data["errorStack"]) == ("no tea", None)
        assert "raise ValueError" in whole.data["errorStack"]

    def test_all_versions_share_the_dataschema_of_system_errors(self) -> None:
        event = FACTORY.system_error(
            error=ValueError("no tea"), source="com.order.place", subject="s"
        )
        assert event.type == "sys.com.order.place.error"
        assert event.dataschema == "#/org/order/0.0.0"
        assert event.data == {
            "errorName": "ValueError", "errorMessage": "no tea", "errorStack": None
        }  # fmt: skip

    def test_every_exception_becomes_a_well_formed_event(self) -> None:
        for error in (
            KeyboardInterrupt(),
            OSError(2, "x", "a\udc80"),
            ExceptionGroup("g", [OSError()]),
        ):
            event = FACTORY.system_error(error=error, source="com.order.place")
            assert json.loads(event.to_json())["data"]["errorName"] == type(error).__name__


class TestOrchestrator:
    def test_other_contracts_are_refused(self) -> None:
        with pytest.raises(
            ValueError, match="is not an orchestrator contract; use ArvoEventFactory"
        ):
            ArvoOrchestratorEventFactory(ORDER.version(V1))

    def test_init_starts_a_root_workflow(self) -> None:
        event = FLOW_FACTORY.init(source="com.app.main", data=Place(item="tea"), redirectto="com.x")
        assert event.type == "arvo.orc.flow"
        assert event.data == {PARENT_SUBJECT: None, "item": "tea", "count": 1}
        subject = ArvoOrchestrationSubject.parse(event.subject)
        assert (subject.orchestrator.name, subject.orchestrator.version) == (
            "arvo.orc.flow",
            "2.0.0",
        )
        assert subject.execution.initiator == "com.app.main"
        assert subject.meta == {"redirectto": "com.x"}

    @pytest.mark.parametrize("inside", [True, False])
    def test_init_with_a_parent(self, inside: bool) -> None:
        if inside:
            data = {"item": "tea", PARENT_SUBJECT: PARENT}
            event = FLOW_FACTORY.init(source="com.any.one", data=data)
        else:
            event = FLOW_FACTORY.init(
                source="com.any.one", data=Place(item="tea"), parent_subject=PARENT
            )
        assert event.data[PARENT_SUBJECT] == PARENT
        assert event.redirectto is None
        subject = ArvoOrchestrationSubject.parse(event.subject)
        assert subject.execution.initiator == "arvo.orc.parent"
        assert subject.execution.domain == "partner.eu"
        assert subject.meta == {"tenant": "x", "redirectto": "com.app.main"}

    def test_a_mapping_with_parent_subject_none_starts_a_root_workflow(self) -> None:
        event = FLOW_FACTORY.init(source="com.any.one", data={"item": "tea"}, parent_subject=None)
        assert event.data == {PARENT_SUBJECT: None, "item": "tea", "count": 1}

    def test_a_mapping_without_a_parent_is_refused(self) -> None:
        with pytest.raises(InvalidDataError, match=r"parentSubject\$\$: is required"):
            FLOW_FACTORY.init(source="com.any.one", data={"item": "tea"})

    def test_the_parent_in_a_mapping_takes_precedence(self) -> None:
        event = FLOW_FACTORY.init(
            source="com.any.one", data={"item": "tea", PARENT_SUBJECT: PARENT}, parent_subject=None
        )
        assert event.data[PARENT_SUBJECT] == PARENT

    def test_a_given_redirectto_takes_precedence_over_the_parents_initiator(self) -> None:
        event = FLOW_FACTORY.init(
            source="com.any.one", data=Place(item="tea"), parent_subject=PARENT,
            redirectto="com.desk", domain="a.b",
        )  # fmt: skip
        subject = ArvoOrchestrationSubject.parse(event.subject)
        assert subject.meta["redirectto"] == event.redirectto == "com.desk"
        assert subject.execution.domain == "a.b"

    def test_a_given_subject_is_kept(self) -> None:
        event = FLOW_FACTORY.init(
            source="com.any.one", data=Place(item="tea"), parent_subject=PARENT, subject="s"
        )
        assert event.subject == "s"

    def test_a_parent_that_is_not_a_subject_is_refused(self) -> None:
        with pytest.raises(InvalidSubjectError, match="not an orchestration subject: 'order/7'"):
            FLOW_FACTORY.init(
                source="com.any.one", data=Place(item="tea"), parent_subject="order/7"
            )

    def test_error_about_wrong_init_data_names_contract_and_version(self) -> None:
        with pytest.raises(InvalidDataError, match=r"arvo\.orc\.flow of #/org/flow/2\.0\.0"):
            FLOW_FACTORY.init(source="com.any.one", data={})

    def test_accepts_starts_a_root_workflow_too(self) -> None:
        event = FLOW_FACTORY.accepts(source="com.any.one", data=Place(item="tea"))
        assert event.data[PARENT_SUBJECT] is None

    def test_complete_reports_the_result(self) -> None:
        event = FLOW_FACTORY.complete(source="arvo.orc.flow", data=Placed(id="7"), subject="s")
        assert (event.type, event.data) == ("arvo.orc.flow.done", {"id": "7"})
        assert event.dataschema == "#/org/flow/2.0.0"

    def test_complete_checks_the_result(self) -> None:
        with pytest.raises(InvalidDataError, match=r"arvo\.orc\.flow\.done of #/org/flow/2\.0\.0"):
            FLOW_FACTORY.complete(source="arvo.orc.flow", data={"id": 7})
