"""Events of everything that pydantic can store: models, dataclasses, times, unions.

It needs the extra: `pip install 'arvo-event-store[pydantic]'`.
"""

try:
    from ._codec import PydanticCodec
except ModuleNotFoundError as _error:
    raise ModuleNotFoundError(
        "PydanticCodec needs pydantic, install it with\n"
        "    pip install 'arvo-event-store[pydantic]'",
        name=_error.name,
    ) from _error

__all__ = ["PydanticCodec"]
