"""Names and JSON: what survives, and what is refused."""

from typing import Any

from arvo_event_store._errors import InvalidEventError
from arvo_event_store._event import NewEvent
from arvo_event_store._query import Query

from ._expectations import WakingLog, listed, only, refused, refused_now, some

_NAMES = (
    *("a", "A", "ab", "a_", "a%", "a*", "a?", "a.b", "a/b", "a:b", " a", "a ", "a'b", 'a"b'),
    *("a;drop table event;--", "é", "e\u0301", "日本", "🛒", "\\", "\x01", "x" * 512, "é" * 256),
)
_REFUSED = ("", "a\0b", "\ud800", "x" * 513, "é" * 256 + "x")
_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 2**53 + 1, 2**63, -(2**64) - 1, 10**300, "", "text"),
    *(0.1, 0.1 + 0.2, 1e-7, 1.5e300, 5e-324, -0.0, 1.7976931348623157e308),
    *([], {}, [[]], {"": {}}, [None, {"a": [1, "1", True]}], {"z": 1, "10": 2, "9": 3, "a": 4}),
    "Zoë 日本 🛒 \u2028 \x00 \x1f \" \\ </script> '; --",
    {"\x00": "\x00"},
)
_NOT_JSON: tuple[tuple[Any, str], ...] = (
    *((float("nan"), ""), (float("inf"), ""), ({1}, ""), ((1, 2), ""), (b"a", ""), (object(), "")),
    *(({1: 2}, ""), ("\ud800", ""), ({"\udc00": 1}, ""), (10**309, "")),
    *(({"a": [0, {"b": -float("inf")}]}, ".a[1].b"), ([[], [0, (1,)]], "[1][1]")),
)


class Contents:
    """What may be stored, and how it comes back."""

    async def test_names_are_compared_exactly(self, store: WakingLog) -> None:
        """A9: wildcards, separators, case, Unicode forms and common beginnings mean nothing."""
        for number, name in enumerate(_NAMES):
            await store.append(name, [NewEvent(name, number, correlation=name)])
        assert len(await store.heads(_NAMES)) == len(_NAMES)
        for number, name in enumerate(_NAMES):
            event = await only(store.read(name))
            assert (event.stream, event.name, event.correlation) == (name, name, name)
            assert event.data == number
            for query in (Query(names=[name]), Query(correlation=name)):
                found = [event.data async for event in store.read_all(where=query)]
                assert found == [number]

    async def test_a_name_against_the_rules_is_refused_by_every_call(
        self, store: WakingLog
    ) -> None:
        """A10: as a stream, an event, a correlation, in reads and in queries."""
        for name in _REFUSED:
            error = await refused(store.append(name, some(1)), InvalidEventError)
            assert error.path == "stream"
            error = await refused(store.append("a", [NewEvent(name, 1)]), InvalidEventError)
            assert (error.stream, error.event, error.path) == ("a", 0, "name")
            wrong = NewEvent("Added", 1, correlation=name)
            error = await refused(store.append("a", [*some(1), wrong]), InvalidEventError)
            assert (error.stream, error.event, error.path) == ("a", 1, "correlation")
            refused_now(lambda name=name: store.read(name), InvalidEventError)  # type: ignore[misc]
            await refused(store.heads(["a", name]), InvalidEventError)
            await refused(store.latest_snapshot(name, kind="k"), InvalidEventError)
            await refused(store.latest_snapshot("a", kind=name), InvalidEventError)
        assert await listed(store.read_all()) == []

    async def test_what_is_not_json_is_refused_by_path(self, store: WakingLog) -> None:
        """A10: in data, meta and private, naming the member."""
        for value, where in _NOT_JSON:
            for event, path in (
                (NewEvent("Added", value), "data"),
                (NewEvent("Added", 1, meta={"m": value}), "meta.m"),
                (NewEvent("Added", 1, private=value), "private"),
            ):
                error = await refused(store.append("a", [*some(1), event]), InvalidEventError)
                assert (error.stream, error.event, error.path) == ("a", 1, f"{path}{where}")
        assert await listed(store.read_all()) == []

    async def test_deep_nesting_survives_up_to_the_bound(self, store: WakingLog) -> None:
        """A10: 256 containers in each other; one more is refused."""
        value: Any = []
        for _ in range(255):
            value = [value]
        await store.append("a", [NewEvent("Added", value)])
        event = await only(store.read("a"))
        assert event.data == value
        await refused(store.append("a", [NewEvent("Added", [value])]), InvalidEventError)

    async def test_a_payload_has_a_limit(self, store: WakingLog) -> None:
        """A11: a MiB of JSON in UTF-8 by default, which is allowed, and one byte more is not."""
        longest = "x" * (1024 * 1024 - 2)
        await store.append("a", [NewEvent("Added", longest)])
        event = await only(store.read("a"))
        assert event.data == longest
        for wrong in (f"{longest}x", "é" * (512 * 1024)):
            error = await refused(store.append("a", [NewEvent("Added", wrong)]), InvalidEventError)
            assert error.path == "data"
            secret = NewEvent("Added", 1, private=wrong)
            error = await refused(store.append("a", [secret]), InvalidEventError)
            assert error.path == "private"
        assert (await store.heads(["a"]))["a"].version == 0

    async def test_json_comes_back_equal_and_in_order(self, store: WakingLog) -> None:
        """A12: with types, exact numbers, and members in the order in which they were written."""
        await store.append(
            "a", [NewEvent("V", value, meta={"m": value}, private=value) for value in _VALUES]
        )
        events = await listed(store.read("a"))
        for event, value in zip(events, _VALUES, strict=True):
            assert repr(event.data) == repr(value)
            assert repr(event.meta) == repr({"m": value})
            assert repr(event.private) == repr(value)

    async def test_nothing_is_shared_with_writers_or_readers(self, store: WakingLog) -> None:
        """A13: what they do to their objects changes nothing stored."""
        data: dict[str, Any] = {"items": [1]}
        meta: dict[str, Any] = {"trace": ["x"]}
        await store.append("a", [NewEvent("Added", data, meta=meta, private={"of": ["me"]})])
        data["items"].append(2)
        meta["trace"].append("y")
        for _ in range(2):
            event = await only(store.read("a"))
            assert (event.data, event.meta) == ({"items": [1]}, {"trace": ["x"]})
            assert event.private == {"of": ["me"]}
            event.data["items"].append(3)
            event.meta["trace"].append("z")
            event.private["of"].append("you")
