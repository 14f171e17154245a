"""Copies of values written in a config, so that nobody changes the config by changing them."""

from typing import Any


def fresh(value: Any) -> Any:
    """Return the value with its dicts and lists copied, at every depth."""
    if type(value) is dict:
        return {key: fresh(below) for key, below in value.items()}
    if type(value) is list:
        return [fresh(below) for below in value]
    return value
