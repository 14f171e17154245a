"""Copies of values written in a config, so that nobody changes the config by changing them."""

from typing import TypeVar

T = TypeVar("T")


def fresh(value: T) -> T:
    """Return the value with its dicts and lists copied, at every depth."""
    copied: object = value
    if type(value) is dict:
        copied = {key: fresh(below) for key, below in value.items()}
    elif type(value) is list:
        copied = [fresh(below) for below in value]
    return copied  # type: ignore[return-value]  # of the same type: only its containers are new
