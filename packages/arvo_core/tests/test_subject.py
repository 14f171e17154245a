"""Orchestration subjects."""

import base64
import copy
import gzip
import json
import pickle
import secrets
import zlib
from collections.abc import Callable
from datetime import date
from types import MappingProxyType
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, strategies as st
from pydantic import ValidationError

from arvo_core import ArvoOrchestrationSubject, InvalidSubjectError, SubjectContent
from arvo_core.uri import is_valid_uri

CONTENT: dict[str, Any] = {
    "orchestrator": {"name": "arvo.orc.order", "version": "1.0.0"},
    "execution": {"id": "run-1", "initiator": "com.app.main", "domain": None},
    "meta": {},
}


def unpacked(subject: str) -> Any:
    return json.loads(zlib.decompress(base64.b64decode(subject)))


def packed(content: object) -> str:
    return base64.b64encode(zlib.compress(json.dumps(content).encode())).decode()


def changed(part: str, **changes: Any) -> dict[str, Any]:
    return CONTENT | {part: CONTENT[part] | changes}


def elsewhere(subject: str) -> str:
    """Spell a subject so that it must be decoded, as in a process that did not make it."""
    return f"\n{subject}"


def new(**changes: Any) -> str:
    values = {"orchestrator": "arvo.orc.order", "version": "1.0.0", "initiator": "com.app.main"}
    return ArvoOrchestrationSubject.new(**(values | changes))


class TestNew:
    def test_a_new_subject_has_the_given_content(self) -> None:
        subject = new(domain="partner.eu", meta={"redirectto": "com.audit"}, execution_id="run-1")
        content = ArvoOrchestrationSubject.parse(elsewhere(subject))
        assert content.orchestrator.name == "arvo.orc.order"
        assert content.orchestrator.version == "1.0.0"
        assert content.execution.id == "run-1"
        assert content.execution.initiator == "com.app.main"
        assert content.execution.domain == "partner.eu"
        assert content.meta == {"redirectto": "com.audit"}

    def test_every_run_has_its_own_id(self) -> None:
        runs = {ArvoOrchestrationSubject.parse(new()).execution.id for _ in range(3)}
        assert {UUID(run).version for run in runs} == {4}
        assert len(runs) == 3

    def test_the_version_is_the_wildcard_by_default(self) -> None:
        assert unpacked(new(version=None))["orchestrator"]["version"] == "0.0.0"

    def test_members_are_in_the_order_of_arvo(self) -> None:
        subject = unpacked(new(domain="a", meta={"k": "v"}))
        assert list(subject) == ["orchestrator", "execution", "meta"]
        assert list(subject["orchestrator"]) == ["name", "version"]
        assert list(subject["execution"]) == ["id", "initiator", "domain"]

    def test_a_subject_is_a_valid_uri(self) -> None:
        assert is_valid_uri(new(meta={"note": "é" * 50}))

    @pytest.mark.parametrize(
        ("changes", "path"),
        [
            ({"orchestrator": "order"}, ("orchestrator", "name")),
            ({"orchestrator": "arvo.orc.order\n"}, ("orchestrator", "name")),
            ({"version": "1.0"}, ("orchestrator", "version")),
            ({"version": "1.0.0 garbage"}, ("orchestrator", "version")),
            ({"initiator": "https://app"}, ("execution", "initiator")),
            ({"initiator": None}, ("execution", "initiator")),
            ({"domain": ""}, ("execution", "domain")),
            ({"domain": "Partner"}, ("execution", "domain")),
            ({"execution_id": "a;b"}, ("execution", "id")),
            ({"execution_id": ""}, ("execution", "id")),
            ({"execution_id": "\ud800"}, ("execution", "id")),
            ({"meta": {"k": 1}}, ("meta", "k")),
            ({"meta": {"k": "\ud800"}}, ("meta", "k")),
            ({"meta": {"k": b"v"}}, ("meta", "k")),
        ],
    )
    def test_wrong_values_are_refused_with_their_path(
        self, changes: dict[str, Any], path: tuple[str, ...]
    ) -> None:
        with pytest.raises(InvalidSubjectError, match="cannot make a subject") as caught:
            new(**changes)
        assert [problem.path for problem in caught.value.problems] == [path]

    def test_a_subject_that_is_too_large_for_parse_is_refused(self) -> None:
        with pytest.raises(InvalidSubjectError, match="more than 65536 bytes"):
            new(meta={"note": "x" * 65_536})


class TestFromParent:
    PARENT = new(domain="partner.eu", meta={"redirectto": "com.audit", "tenant": "eu"})

    def child(self, **changes: Any) -> Any:
        values = {"orchestrator": "arvo.orc.ship", "version": "2.0.0", "subject": self.PARENT}
        return ArvoOrchestrationSubject.parse(
            ArvoOrchestrationSubject.from_parent(**(values | changes))
        )

    def test_the_parent_is_the_initiator(self) -> None:
        child = self.child()
        assert child.orchestrator.name == "arvo.orc.ship"
        assert child.execution.initiator == "arvo.orc.order"
        assert child.execution.id != ArvoOrchestrationSubject.parse(self.PARENT).execution.id

    def test_the_domain_is_the_parents_unless_given(self) -> None:
        assert self.child().execution.domain == "partner.eu"
        assert self.child(domain="partner.us").execution.domain == "partner.us"

    def test_meta_is_added_to_the_parents(self) -> None:
        child = self.child(meta={"redirectto": "com.desk", "more": "x"})
        assert child.meta == {"redirectto": "com.desk", "tenant": "eu", "more": "x"}

    def test_a_parent_that_is_not_a_subject_is_refused(self) -> None:
        with pytest.raises(InvalidSubjectError, match="not an orchestration subject: 'order/7'"):
            self.child(subject="order/7")


class TestCreate:
    def test_create_keeps_unknown_members(self) -> None:
        content = CONTENT | {"note": {"a": [1]}} | {"meta": {"k": "v"}}
        content["execution"] = CONTENT["execution"] | {"shard": 7}
        parsed = ArvoOrchestrationSubject.parse(ArvoOrchestrationSubject.create(content))
        assert parsed.model_extra == {"note": {"a": [1]}}
        assert parsed.execution.model_extra == {"shard": 7}
        again = ArvoOrchestrationSubject.create(parsed)
        assert unpacked(again) == content

    def test_create_accepts_any_mapping_such_as_the_meta_of_a_subject(self) -> None:
        meta = ArvoOrchestrationSubject.parse(new(meta={"k": "v"})).meta
        subject = ArvoOrchestrationSubject.create(MappingProxyType(CONTENT | {"meta": meta}))
        assert unpacked(subject)["meta"] == {"k": "v"}

    @pytest.mark.parametrize("part", ["orchestrator", "execution", "meta"])
    def test_create_refuses_a_missing_member(self, part: str) -> None:
        content = {name: value for name, value in CONTENT.items() if name != part}
        with pytest.raises(InvalidSubjectError, match=part):
            ArvoOrchestrationSubject.create(content)

    @pytest.mark.parametrize(
        "value",
        [float("nan"), date(2026, 1, 31), object(), "\ud800"],
        ids=["nan", "date", "object", "surrogate"],
    )
    def test_create_refuses_unknown_members_that_are_not_json(self, value: object) -> None:
        with pytest.raises(InvalidSubjectError) as caught:
            ArvoOrchestrationSubject.create(CONTENT | {"note": [value]})
        assert [problem.path for problem in caught.value.problems] == [("note", 0)]

    @pytest.mark.parametrize("content", [None, [], "x", 7])
    def test_create_refuses_anything_but_a_mapping(self, content: Any) -> None:
        with pytest.raises(InvalidSubjectError, match="expected a JSON object"):
            ArvoOrchestrationSubject.create(content)


class TestParse:
    def test_parsed_content_is_immutable(self) -> None:
        content = ArvoOrchestrationSubject.parse(packed(CONTENT))
        with pytest.raises(ValidationError, match="frozen"):
            content.execution.id = "run-2"  # type: ignore[misc]
        with pytest.raises(TypeError):
            content.meta["k"] = "v"  # type: ignore[index]

    @pytest.mark.parametrize(
        "written",
        [
            lambda raw: base64.b64encode(gzip.compress(raw)).decode(),
            lambda raw: base64.urlsafe_b64encode(zlib.compress(raw)).decode(),
            lambda raw: base64.b64encode(zlib.compress(raw)).decode().rstrip("="),
            lambda raw: base64.b64encode(zlib.compress(raw)).decode().rstrip("=") + "=garbage",
            lambda raw: base64.encodebytes(zlib.compress(raw)).decode(),
            lambda raw: "é!" + base64.b64encode(zlib.compress(raw)).decode(),
            lambda raw: base64.b64encode(zlib.compress(b"\xef\xbb\xbf" + raw)).decode(),
        ],
        ids=["gzip", "url-safe", "unpadded", "after-padding", "lines", "foreign-letters", "bom"],
    )
    def test_parse_reads_what_node_reads(self, written: Any) -> None:
        # Long and varied enough for the letters that the alphabets write differently.
        content = CONTENT | {"meta": {"note": "".join(map(chr, range(32, 1_000)))}}
        text = written(json.dumps(content).encode())
        assert ArvoOrchestrationSubject.parse(text).meta == content["meta"]

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "=",
            "A",
            "order/7",
            "\ud800",
            packed([]),
            packed({}),
            packed(changed("orchestrator", name="order")),
            packed(changed("orchestrator", version="1.0")),
            packed(changed("orchestrator", version=1)),
            packed(changed("execution", domain="")),
            packed(changed("execution", id="a;b")),
            packed(changed("meta", k=None)),
            base64.b64encode(zlib.compress(b"{")).decode(),
            base64.b64encode(zlib.compress(b"[" * 60_000)).decode(),
            base64.b64encode(zlib.compress(b"\xff")).decode(),
            base64.b64encode(b"x" + zlib.compress(json.dumps(CONTENT).encode())).decode(),
        ],
    )
    def test_strings_that_are_not_subjects_are_refused(self, text: str) -> None:
        assert not ArvoOrchestrationSubject.is_valid(text)
        with pytest.raises(InvalidSubjectError, match="not an orchestration subject") as caught:
            ArvoOrchestrationSubject.parse(text)
        str(caught.value).encode()

    def test_truncated_and_trailing_bytes_are_refused(self) -> None:
        raw = zlib.compress(json.dumps(CONTENT).encode())
        with pytest.raises(InvalidSubjectError, match="truncated"):
            ArvoOrchestrationSubject.parse(base64.b64encode(raw[:-1]).decode())
        with pytest.raises(InvalidSubjectError, match="other bytes follow"):
            ArvoOrchestrationSubject.parse(base64.b64encode(raw + b"x").decode())

    def test_a_decompression_bomb_is_refused_with_the_limit(self) -> None:
        text = packed(CONTENT | {"meta": {"note": "x" * 5_000_000}})
        assert len(text) < 7_000
        with pytest.raises(InvalidSubjectError, match="inflates to more than 65536 bytes"):
            ArvoOrchestrationSubject.parse(text)

    def test_the_largest_subject_that_create_makes_can_be_parsed(self) -> None:
        room = 65_536 - len(json.dumps(CONTENT | {"meta": {"n": ""}}, separators=(",", ":")))
        fits = ArvoOrchestrationSubject.create(CONTENT | {"meta": {"n": "x" * room}})
        assert ArvoOrchestrationSubject.parse(fits).meta["n"] == "x" * room
        with pytest.raises(InvalidSubjectError):
            ArvoOrchestrationSubject.create(CONTENT | {"meta": {"n": "x" * (room + 1)}})

    def test_messages_cut_long_subjects(self) -> None:
        with pytest.raises(InvalidSubjectError) as caught:
            ArvoOrchestrationSubject.parse("order" * 1_000)
        assert len(str(caught.value)) < 200


names = st.lists(st.text("abc019", min_size=1, max_size=5), min_size=3, max_size=5).map(".".join)
domains = st.none() | st.text("abc.019", min_size=1)
metas = st.dictionaries(st.text(), st.text(), max_size=4)
versions = st.tuples(*[st.integers(0, 999)] * 3).map(lambda numbers: ".".join(map(str, numbers)))
subjects = st.builds(
    ArvoOrchestrationSubject.new,
    orchestrator=names,
    version=st.none() | versions,
    initiator=names,
    domain=domains,
    meta=metas,
    execution_id=st.uuids().map(str),
)


@given(subjects)
def test_any_subject_survives(subject: str) -> None:
    content = ArvoOrchestrationSubject.parse(elsewhere(subject))
    assert ArvoOrchestrationSubject.is_valid(elsewhere(subject))
    assert ArvoOrchestrationSubject.parse(subject) == content
    assert ArvoOrchestrationSubject.create(content) == subject
    assert json.loads(content.model_dump_json()) == unpacked(subject)
    assert is_valid_uri(subject)


@given(subjects, names, domains, metas)
def test_any_child_keeps_what_it_does_not_replace(
    parent: str, orchestrator: str, domain: str | None, meta: dict[str, str]
) -> None:
    above = ArvoOrchestrationSubject.parse(parent)
    made = ArvoOrchestrationSubject.from_parent(
        orchestrator=orchestrator, version=None, subject=parent, domain=domain, meta=meta
    )
    child = ArvoOrchestrationSubject.parse(elsewhere(made))
    assert child.execution.initiator == above.orchestrator.name
    assert child.execution.domain == (above.execution.domain if domain is None else domain)
    assert child.meta == {**above.meta, **meta}


@given(
    st.text(st.characters())
    | st.binary().map(zlib.compress).map(base64.b64encode).map(bytes.decode)
)
def test_parse_raises_nothing_but_the_documented_error(text: str) -> None:
    with pytest.raises(InvalidSubjectError):
        ArvoOrchestrationSubject.parse(text)


@given(st.data())
def test_a_damaged_subject_is_a_subject_or_the_documented_error(data: st.DataObject) -> None:
    text = data.draw(subjects)
    at = data.draw(st.integers(0, len(text) - 1))
    damaged = text[:at] + data.draw(st.characters()) + text[at + 1 :]
    try:
        ArvoOrchestrationSubject.parse(damaged)
    except InvalidSubjectError as error:
        str(error).encode()
    else:
        assert ArvoOrchestrationSubject.is_valid(damaged)


@pytest.mark.parametrize(
    "copied",
    [copy.deepcopy, lambda content: pickle.loads(pickle.dumps(content))],  # noqa: S301
    ids=["deepcopy", "pickle"],
)
def test_parsed_subjects_can_be_copied_and_stay_immutable(
    copied: Callable[[SubjectContent], SubjectContent],
) -> None:
    content = ArvoOrchestrationSubject.parse(
        ArvoOrchestrationSubject.new(
            orchestrator="arvo.orc.order", version="1.0.0", initiator="com.a.b", meta={"a": "b"}
        )
    )
    twin = copied(content)
    assert twin == content
    assert dict(twin.meta) == {"a": "b"}
    with pytest.raises(TypeError):
        twin.meta["a"] = "c"  # type: ignore[index]


def test_only_short_subjects_are_cached() -> None:
    def subject(letters: int) -> str:
        text = secrets.token_hex(letters // 2)
        return ArvoOrchestrationSubject.new(
            orchestrator="arvo.orc.order", version="1.0.0", initiator="com.a.b", meta={"m": text}
        )

    parse = ArvoOrchestrationSubject.parse
    short, long = subject(10), subject(30_000)
    assert parse(short) is parse(short)
    assert parse(long) == parse(long)
    assert parse(long) is not parse(long)


def test_cached_content_shares_nothing_with_the_arguments() -> None:
    meta = {"k": "v"}
    subject = new(meta=meta)
    meta["k"] = "changed"
    assert ArvoOrchestrationSubject.parse(subject).meta == {"k": "v"}


def test_only_the_newest_subjects_are_cached() -> None:
    parse = ArvoOrchestrationSubject.parse
    first = new()
    content = parse(first)
    assert parse(first) is content
    for _ in range(4096):
        new()
    assert parse(first) is not content
    assert parse(first) == content
