"""The expression language of handlers: what they return, as a function of what they see."""

import operator
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any

from .javascript import MISSING, add, length, less, number, text, truth, whole
from .schema_scalars import identical

Environment = Mapping[str, object]


def evaluate(expression: object, environment: object) -> Any:
    """Return the value, which may be `MISSING`; members that are `MISSING` are left out."""
    if isinstance(expression, list):
        items = [evaluate(item, environment) for item in expression]
        return [None if item is MISSING else item for item in items]
    if not isinstance(expression, Mapping):
        return expression
    if name := _operation(expression):
        return _apply(name, expression[name], environment)
    members = {key: evaluate(inner, environment) for key, inner in expression.items()}
    return {key: value for key, value in members.items() if value is not MISSING}


def _operation(expression: Mapping[str, object]) -> str | None:
    if len(expression) != 1:
        return None
    (key,) = expression
    return key if key.startswith("$") else None


def _apply(name: str, operand: Any, environment: object) -> object:
    match name:
        case "$lit":
            return operand
        case "$get":
            return _follow(environment, operand.split(".") if operand else [])
        case "$getk":
            keys = [
                evaluate(key, environment) if isinstance(key, Mapping) else key for key in operand
            ]
            return _follow(environment, keys)
        case "$if":
            return _choose(operand, environment)
        case _ if name in _OF_ONE:
            return _OF_ONE[name](evaluate(operand, environment))
        case _ if name in _OF_TWO:
            left, right = (evaluate(side, environment) for side in operand)
            return _OF_TWO[name](left, right)
        case _ if name in _OF_MANY:
            return _OF_MANY[name]([evaluate(item, environment) for item in operand])
        case _:
            raise ValueError(f"unknown operation: {name}")


def _choose(operand: Sequence[object], environment: object) -> object:
    condition, *branches = operand
    taken = branches[0:1] if truth(evaluate(condition, environment)) else branches[1:2]
    return evaluate(taken[0], environment) if taken else MISSING


def _follow(value: object, path: Sequence[object]) -> object:
    return reduce(_step, path, value)


def _step(value: object, key: object) -> object:
    if isinstance(value, Mapping):
        return value.get(text(key), MISSING)
    if isinstance(value, list):
        position = number(key)
        if position.is_integer() and 0 <= position < len(value):
            return value[int(position)]
    if isinstance(value, list | str) and key == "length":
        return length(value)
    return MISSING


def _exists(value: object) -> bool:
    return value is not None and value is not MISSING


def _last(value: object) -> object:
    return value[-1] if isinstance(value, list) and value else MISSING


def _equal(left: object, right: object) -> bool:
    if isinstance(left, Mapping | list) or isinstance(right, Mapping | list):
        return False
    return identical(left, right)


def _product(values: list[object]) -> object:
    return whole(reduce(operator.mul, map(number, values), 1.0))


_OF_ONE: Mapping[str, Callable[[Any], object]] = {
    "$not": lambda value: not truth(value),
    "$len": length,
    "$exists": _exists,
    "$last": _last,
}
_OF_TWO: Mapping[str, Callable[[Any, Any], object]] = {
    "$eq": _equal,
    "$ne": lambda left, right: not _equal(left, right),
    "$gt": lambda left, right: less(right, left),
    "$gte": lambda left, right: less(right, left) or _same(left, right),
    "$lt": less,
    "$sub": lambda left, right: whole(number(left) - number(right)),
}
_OF_MANY: Mapping[str, Callable[[list[Any]], object]] = {
    "$add": lambda values: reduce(add, values) if values else 0,
    "$mul": _product,
    "$concat": lambda values: "".join(map(text, values)),
    "$and": lambda values: all(map(truth, values)),
    "$or": lambda values: any(map(truth, values)),
}


def _same(left: object, right: object) -> bool:
    if isinstance(left, str) and isinstance(right, str):
        return left == right
    return number(left) == number(right)
