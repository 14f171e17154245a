"""Finds the parts of a value that are not written, as `exclude` for pydantic's serializer."""

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, NamedTuple, TypeAlias

from pydantic import BaseModel, RootModel

from .core_schema import ClassMembers, class_members

Exclude: TypeAlias = dict[Any, Any]
_NOTHING = ClassMembers(names=frozenset(), optional=frozenset(), unreadable=frozenset())
_LEAVES = (str, int, float, type(None))


class _Rule(NamedTuple):
    always: tuple[str, ...]
    when_none: tuple[str, ...]


class LeftOut:
    """Finds the members that are left out of the values of one payload.

    Args:
        declared: The classes that the payload's type names. An instance of a subclass is written
            as one of them, so the members that they require are kept.
    """

    __slots__ = ("_declared", "_rules", "always")

    def __init__(self, declared: Mapping[type, ClassMembers]) -> None:
        self._declared = declared
        self._rules: dict[type, _Rule] = {}
        self.always: bool = any(item.unreadable for item in declared.values())
        """True if members are left out even if they are not None."""

    def of(self, value: object) -> Exclude:
        """Return the parts of `value` that are not written, at any depth."""
        match value:
            case RootModel():
                return self.of(value.root)
            case BaseModel():
                exclude = self._of_instance(value, value.__dict__, value.model_fields_set)
                if value.__pydantic_extra__:
                    exclude.update(self._of_items(value.__pydantic_extra__.items()))
                return exclude
            case Mapping():
                # pydantic reads this key as "every item".
                return self._of_items(item for item in value.items() if item[0] != "__all__")
            case list() | tuple():
                return self._of_items(enumerate(value))
            case _ if is_dataclass(value) and not isinstance(value, type):
                members = {item.name: getattr(value, item.name, None) for item in fields(value)}
                return self._of_instance(value, members, frozenset())
            case _:
                return {}

    def _of_instance(
        self, value: object, members: Mapping[str, object], given: Iterable[str]
    ) -> Exclude:
        rule = self._rules.get(type(value)) or self._rule(type(value))
        exclude = self._of_items(members.items())
        exclude.update((name, True) for name in rule.always)
        for name in rule.when_none:
            if members.get(name) is None and name not in given:
                exclude[name] = True
        return exclude

    def _of_items(self, items: Iterable[tuple[Any, object]]) -> Exclude:
        exclude = {}
        for key, item in items:
            if not isinstance(item, _LEAVES) and (inside := self.of(item)):
                exclude[key] = inside
        return exclude

    def _rule(self, kind: type) -> _Rule:
        written_as = [self._declared[base] for base in kind.__mro__ if base in self._declared]
        own = self._declared.get(kind) or _undeclared(kind)
        rule = self._rules[kind] = _Rule(
            always=tuple(own.unreadable.union(*(item.unreadable for item in written_as))),
            when_none=tuple(
                name
                for name in own.optional
                if all(name in item.optional or name not in item.names for item in written_as)
            ),
        )
        return rule


def _undeclared(kind: type) -> ClassMembers:
    """Describe a class that the payload does not name, such as one held by an `Any`."""
    if "__pydantic_core_schema__" in kind.__dict__:
        return class_members(kind.__dict__["__pydantic_core_schema__"]).get(kind, _NOTHING)
    if not is_dataclass(kind):
        return _NOTHING
    return ClassMembers(
        names=frozenset(field.name for field in fields(kind)),
        optional=frozenset(field.name for field in fields(kind) if field.default is None),
        unreadable=frozenset(),
    )
