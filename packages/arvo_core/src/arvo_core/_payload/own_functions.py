"""Finds the user's serializers and validators that affect a given place of a payload."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from arvo_core._errors import MAX_PROBLEMS, FieldProblem

from .core_schema import INNER, ITEMS, fields_of, is_pydantics, nodes, nodes_of

_Node: TypeAlias = Mapping[str, Any]
_ITSELF = tuple(key for key in INNER if key not in ITEMS | {"fields", "definitions"})


def with_functions(schema: _Node, problems: Sequence[FieldProblem]) -> list[FieldProblem]:
    """Add to the first problems which function changed the value, and a remedy."""
    definitions = {node["ref"]: node for node in nodes(schema) if "ref" in node}
    explained = [
        FieldProblem(path=item.path, message=item.message + _cause(schema, item.path, definitions))
        for item in problems[:MAX_PROBLEMS]
    ]
    return [*explained, *problems[MAX_PROBLEMS:]]


def _cause(schema: _Node, path: tuple[str | int, ...], definitions: Mapping[str, _Node]) -> str:
    here = list(_itself([schema], definitions))
    steps = [here]
    for name in path:
        here = list(_itself(_below(here, name), definitions))
        steps.append(here)
    # The innermost functions are the most likely ones.
    for found in reversed(steps):
        if written := _names(node.get("serialization", {}).get("function") for node in found):
            return (
                f": if the serializer {written} rounds it or leaves something out, let a validator "
                "do that when the value is made, so that the value kept is the value sent"
            )
        functions = (node["function"] for node in found if node["type"].startswith("function-"))
        if read := _names(item["function"] for item in functions):
            return f": if the validator {read} changes its own results, make it keep them"
    return ""


def _itself(pending: list[_Node], definitions: Mapping[str, _Node]) -> Iterator[_Node]:
    """Yield the schemas, and all others that describe the same value."""
    seen: set[int] = set()
    while pending:
        node = pending.pop()
        if id(node) not in seen:
            seen.add(id(node))
            yield node
            if node["type"] == "definition-ref":
                pending.append(definitions[node["schema_ref"]])
            pending += (inner for key in _ITSELF if key in node for inner in nodes_of(node[key]))


def _below(found: list[_Node], name: str | int) -> list[_Node]:
    below: list[_Node] = []
    for node in found:
        if node.get("root_model") and name == "root":
            below.append(node["schema"])
        for own, field in fields_of(node).items():
            if name in (own, field.get("serialization_alias")):
                below.append(field["schema"])
        for key in ITEMS & node.keys():
            below += nodes_of(node[key])
    return below


def _names(functions: Iterator[Any]) -> str:
    own = [item for item in functions if item is not None and not is_pydantics(item)]
    names = (getattr(item, "__qualname__", type(item).__qualname__) for item in own)
    return " and ".join(sorted({name.rpartition("<locals>.")[2] for name in names}))
