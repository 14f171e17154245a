"""Selects recorded spans or metrics by name and attributes."""

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol, TypeVar


class Named(Protocol):
    """Something with a name and attributes."""

    @property
    def name(self) -> str:
        """The name that the instrumented code gave it."""
        ...

    @property
    def attributes(self) -> Mapping[str, object]:
        """The attributes that the instrumented code gave it."""
        ...


N = TypeVar("N", bound=Named)


def select(
    items: Iterable[N], *, name: str | None, attributes: Mapping[str, object] | None
) -> list[N]:
    """Return the items of a name that have certain attributes; None accepts any."""
    wanted = (attributes or {}).items()
    return [
        item
        for item in items
        if name in (None, item.name)
        and all(key in item.attributes and item.attributes[key] == value for key, value in wanted)
    ]


def select_one(
    items: Iterable[N],
    *,
    name: str | None,
    attributes: Mapping[str, object] | None,
    show: Callable[[], str],
) -> N:
    """Return the only item of a name that has certain attributes.

    Args:
        items: All items.
        name: The name; None accepts any.
        attributes: The attributes that must be present and equal; None accepts any.
        show: Describes all items, for the error.

    Raises:
        LookupError: There is no such item, or several.
    """
    found = select(items, name=name, attributes=attributes)
    if len(found) == 1:
        return found[0]
    wanted = "any name" if name is None else f"name {name!r}"
    if attributes:
        wanted += f" and attributes {dict(attributes)}"
    raise LookupError(f"found {len(found)} of {wanted}; recorded were\n{show() or '(none)'}")
