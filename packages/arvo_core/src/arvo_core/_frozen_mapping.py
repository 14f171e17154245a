"""A mapping that nobody can change, and that copies and pickles, unlike `MappingProxyType`."""

from collections.abc import Iterator, Mapping
from typing import TypeVar

from typing_extensions import override

K = TypeVar("K")
V = TypeVar("V")


class FrozenMapping(Mapping[K, V]):
    """A read-only copy of a mapping."""

    __slots__ = ("_members",)

    def __init__(self, members: Mapping[K, V]) -> None:
        self._members: dict[K, V] = dict(members)

    @override
    def __getitem__(self, key: K) -> V:
        return self._members[key]

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
