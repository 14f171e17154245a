"""Which of several places outside the system an event goes to."""

import pytest

from arvo_core import ArvoOrchestrationSubject
from arvo_event_handler import ArvoDomain, DomainContext, resolve_event_domain

SYMBOLIC = [
    ArvoDomain.FROM_SELF_CONTRACT,
    ArvoDomain.FROM_EVENT_CONTRACT,
    ArvoDomain.FROM_TRIGGERING_EVENT,
    ArvoDomain.FROM_CURRENT_SUBJECT,
    ArvoDomain.FROM_PARENT_SUBJECT,
    ArvoDomain.ORCHESTRATION_CONTEXT,
]


def subject(domain: str | None) -> str:
    return ArvoOrchestrationSubject.new(
        orchestrator="arvo.orc.shop", version="1.0.0", initiator="com.app.main", domain=domain
    )


def context(
    *,
    current: str | None = None,
    parent: str | None = None,
    triggering: str | None = None,
    own: str | None = None,
    event: str | None = None,
) -> DomainContext:
    return DomainContext(
        subject=subject(current),
        parent_subject=parent,
        triggering_domain=triggering,
        self_domain=own,
        event_domain=event,
    )


@pytest.mark.parametrize("nothing", [None, "", ArvoDomain.LOCAL])
def test_no_domain_stays_inside(nothing: str | None) -> None:
    everywhere = context(current="a", triggering="b", own="c", event="d")
    assert resolve_event_domain(nothing, context=everywhere) is None


def test_an_unknown_string_is_a_literal_domain() -> None:
    assert resolve_event_domain("human.approval", context=context()) == "human.approval"


@pytest.mark.parametrize(
    ("symbol", "domain"),
    [
        (ArvoDomain.FROM_SELF_CONTRACT, "own"),
        (ArvoDomain.FROM_EVENT_CONTRACT, "event"),
        (ArvoDomain.FROM_TRIGGERING_EVENT, "triggering"),
        (ArvoDomain.FROM_CURRENT_SUBJECT, "current"),
        (ArvoDomain.FROM_PARENT_SUBJECT, "parent"),
    ],
)
def test_each_symbol_has_its_own_place(symbol: str, domain: str) -> None:
    given = context(
        current="current",
        parent=subject("parent"),
        triggering="triggering",
        own="own",
        event="event",
    )
    assert resolve_event_domain(symbol, context=given) == domain


@pytest.mark.parametrize("symbol", SYMBOLIC)
def test_where_nothing_names_a_domain_every_symbol_stays_inside(symbol: str) -> None:
    assert resolve_event_domain(symbol, context=context()) is None


class TestOrchestrationContext:
    """The asker's domain, and no domain when the asker is in the same place."""

    @pytest.mark.parametrize(
        ("current", "parent", "expected"),
        [("a", "b", "b"), ("a", "a", None), (None, "b", "b"), ("a", None, None)],
    )
    def test_a_child_workflow_answers_where_its_parent_is(
        self, current: str | None, parent: str | None, expected: str | None
    ) -> None:
        given = context(current=current, parent=subject(parent), triggering="elsewhere")
        assert resolve_event_domain(ArvoDomain.ORCHESTRATION_CONTEXT, context=given) == expected

    @pytest.mark.parametrize(
        ("current", "triggering", "expected"),
        [("a", "b", "a"), ("a", "a", None), ("a", None, None), (None, "b", None)],
    )
    def test_without_a_parent_the_subjects_domain_applies_unless_the_event_came_from_it(
        self, current: str | None, triggering: str | None, expected: str | None
    ) -> None:
        given = context(current=current, triggering=triggering)
        assert resolve_event_domain(ArvoDomain.ORCHESTRATION_CONTEXT, context=given) == expected


def test_an_invalid_subject_counts_as_one_without_a_domain() -> None:
    given = DomainContext(
        subject="order/7",
        parent_subject="not a subject",
        triggering_domain="b",
        self_domain=None,
        event_domain=None,
    )
    for symbol in (
        ArvoDomain.FROM_CURRENT_SUBJECT,
        ArvoDomain.FROM_PARENT_SUBJECT,
        ArvoDomain.ORCHESTRATION_CONTEXT,
    ):
        assert resolve_event_domain(symbol, context=given) is None
