"""A read-only mapping that can be copied and pickled, unlike `MappingProxyType`."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, overload

from typing_extensions import override

K = TypeVar("K")
V = TypeVar("V")
D = TypeVar("D")


class FrozenMapping(Mapping[K, V]):
    """A read-only copy of a mapping."""

    __slots__ = ("_members",)

    def __init__(self, members: Mapping[K, V]) -> None:
        self._members: dict[K, V] = dict(members)

    @override
    def __getitem__(self, key: K) -> V:
        return self._members[key]

    # The inherited methods raise and catch an exception for every missing key.
    @override
    def __contains__(self, key: object) -> bool:
        return key in self._members

    @overload
    def get(self, key: K, /) -> V | None: ...
    @overload
    def get(self, key: K, /, default: V) -> V: ...
    @overload
    def get(self, key: K, /, default: D) -> V | D: ...
    @override
    def get(self, key: K, /, default: Any = None) -> Any:
        return self._members.get(key, default)

    @override
    def __iter__(self) -> Iterator[K]:
        return iter(self._members)

    @override
    def __len__(self) -> int:
        return len(self._members)

    @override
    def __repr__(self) -> str:
        return repr(self._members)

    @override
    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self._members,))
