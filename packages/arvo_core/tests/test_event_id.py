"""Event ids and the policies behind them."""

import base64
import json
import zlib
from uuid import UUID, uuid5

import pytest
from hypothesis import given, strategies as st

from arvo_core import ArvoEvent, InvalidEventError
from arvo_core._event_id import ARVO_NAMESPACE
from arvo_core.event_id import (
    EventId,
    EventIdPolicy,
    ManagedEventId,
    derive_id,
    parse_event_id,
)


def created(id: str | EventId | None) -> str:
    return ArvoEvent.create(
        id=id, source="com.app.main", type="com.order.place", subject="order/7", data={}
    ).id


def packed(content: object) -> str:
    return base64.b64encode(zlib.compress(json.dumps(content).encode())).decode()


def test_an_event_without_id_gets_a_random_uuid() -> None:
    first, second = created(None), created(None)
    assert first != second
    assert UUID(first).version == UUID(second).version == 4
    assert str(UUID(first)) == first


def test_a_given_string_is_the_id() -> None:
    assert created("order-77") == "order-77"
    assert created(EventId.developer_managed("order-77")) == "order-77"


def test_an_id_is_trimmed_but_never_percent_encoded() -> None:
    assert created("\ufeff order 77 é\n") == "order 77 é"


def test_characters_that_javascript_does_not_trim_are_kept() -> None:
    assert created("\x1corder\x85") == "\x1corder\x85"


@pytest.mark.parametrize("blank", ["", "  ", "\u2003\u3000\ufeff"])
def test_a_blank_id_gives_a_random_uuid(blank: str) -> None:
    assert UUID(created(blank)).version == 4
    assert UUID(created(EventId.developer_managed(blank))).version == 4
    assert UUID(created(EventId.arvo_managed(blank))).version == 4


def test_an_arvo_managed_id_is_unique_and_carries_its_value() -> None:
    managed_id = EventId.arvo_managed(" order-77 ")
    first, second = parse_event_id(created(managed_id)), parse_event_id(created(managed_id))
    assert first is not None
    assert second is not None
    assert first.value == second.value == "order-77"
    assert first.uuid != second.uuid
    assert managed_id.policy is EventIdPolicy.ARVO_MANAGED


@pytest.mark.parametrize("value", ["a\ud800", "x" * 70_000])
def test_an_arvo_managed_value_must_fit_into_an_id(value: str) -> None:
    with pytest.raises(InvalidEventError) as caught:
        created(EventId.arvo_managed(value))
    assert [problem.path for problem in caught.value.problems] == [("id",)]


def test_a_managed_id_of_another_language_is_read() -> None:
    text = packed({"uuid": "u-1", "value": "order-77"})
    assert parse_event_id(text) == ManagedEventId(uuid="u-1", value="order-77")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "order-77",
        "3f1c1f0e-0b0a-4d7b-8a43-0d6f2f7f1b11",
        packed([]),
        packed({"uuid": "u-1"}),
        packed({"uuid": 1, "value": "v"}),
        base64.b64encode(zlib.compress(b"no json")).decode(),
        base64.b64encode(zlib.compress(b"[" * 5_000)).decode(),
        base64.b64encode(b"not deflated").decode(),
    ],
)
def test_any_other_id_is_parsed_as_none(text: str) -> None:
    assert parse_event_id(text) is None


def test_a_decompression_bomb_is_not_a_managed_id() -> None:
    assert parse_event_id(packed({"uuid": "u", "value": "x" * 100_000})) is None


def test_a_derived_id_is_the_uuid5_of_its_parts() -> None:
    assert derive_id("com.app.main", "evt-1", 0, None) == str(
        uuid5(ARVO_NAMESPACE, '["com.app.main","evt-1",0,null]')
    )


def test_ids_derived_from_different_parts_differ() -> None:
    assert (
        len({derive_id("a", "b"), derive_id("ab"), derive_id("a,b"), derive_id("a", "b", 0)}) == 4
    )


@given(st.text(alphabet=st.characters()))
def test_parse_event_id_never_raises(text: str) -> None:
    parsed = parse_event_id(text)
    assert parsed is None or isinstance(parsed, ManagedEventId)


@given(st.text(min_size=1))
def test_the_value_of_a_managed_id_survives(value: str) -> None:
    managed = parse_event_id(EventId.arvo_managed(f"[{value}]").text())
    assert managed is not None
    assert managed.value == f"[{value}]"


@given(st.lists(st.text() | st.integers(-(2**63), 2**63) | st.none(), min_size=1))
def test_derived_ids_agree_with_the_standard_library(parts: list[str | int | None]) -> None:
    name = json.dumps(parts, ensure_ascii=False, separators=(",", ":"))
    assert derive_id(*parts) == str(uuid5(ARVO_NAMESPACE, name))
