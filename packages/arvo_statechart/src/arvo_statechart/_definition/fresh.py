"""Copies of values written in a config, so that nobody changes the config by changing them."""

from typing import Any


def fresh(value: Any) -> Any:
    """Return the value with its dicts and lists copied, at every depth."""
    if type(value) is not dict and type(value) is not list:
        return value
    copied = value.copy()
    # What is contained twice, or in itself, is copied once.
    copies: dict[int, Any] = {}
    waiting = [copied]
    while waiting:
        container = waiting.pop()
        members = container.items() if type(container) is dict else enumerate(container)
        for key, member in members:
            if type(member) is dict or type(member) is list:
                if not copies:
                    copies[id(value)] = copied
                known = copies.get(id(member))
                if known is None:
                    known = copies[id(member)] = member.copy()
                    waiting.append(known)
                container[key] = known
    return copied
