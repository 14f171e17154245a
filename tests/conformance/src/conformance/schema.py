"""The schema language: every form becomes a type that contracts take."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Union

from pydantic import (
    BaseModel,
    Field,
    TypeAdapter,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from .issues import Issue, issues_of, refusal, rewriting
from .schema_objects import Absence, Default, Member, Presence, object_model
from .schema_scalars import (
    BOOLEAN,
    NUMBER,
    STRING,
    Annotation,
    coerced,
    identical,
    number_with,
    one_of,
    string,
)

Schema = str | Mapping[str, Any]

_NAMED: Mapping[str, Annotation] = {
    "string": STRING,
    "number": NUMBER,
    "boolean": BOOLEAN,
    "any": Any,
    "unknown": Any,
    "null": None,
}


def payload_type(schema: Schema) -> type[BaseModel] | TypeAdapter[Any]:
    """Build what `accepts` and `emits` take: a model for an object, an adapter for the rest."""
    built = annotation(schema)
    if isinstance(built, type) and issubclass(built, BaseModel):
        return built
    return TypeAdapter(built)


def annotation(schema: Schema) -> Annotation:
    """Build the type of a value that is there."""
    if isinstance(schema, str):
        return _NAMED[schema]
    match dict(schema):
        case {"obj": members, **rest}:
            mode = rest.pop("mode", "strip")
            _expect_no_more(rest)
            return object_model({key: _member(inner) for key, inner in members.items()}, mode)
        case {"opt": inner, **rest} if not rest:
            return annotation(inner)
        case {"nullable": inner, **rest} if not rest:
            return _any_of([annotation(inner), None])
        case {"default": [inner, _], **rest} if not rest:
            return annotation(inner)
        case {"arr": inner, **bounds}:
            return _array(annotation(inner), bounds)
        case {"tuple": items, **rest} if not rest:
            return _tuple([annotation(item) for item in items])
        case {"record": inner, **rest} if not rest:
            return dict[str, annotation(inner)]  # type: ignore[misc]
        case {"enum": values, **rest} if not rest:
            return one_of(values)
        case {"lit": value, **rest} if not rest:
            return one_of([value])
        case {"union": options, **rest} if not rest:
            return _union([annotation(option) for option in options])
        case {"discriminated": [key, options], **rest} if not rest:
            return _discriminated(key, options)
        case {"str": rules, **rest} if not rest:
            return string(rules)
        case {"num": rules, **rest} if not rest:
            return number_with(rules)
        case {"describe": [inner, words], **rest} if not rest:
            return Annotated[annotation(inner), Field(description=words)]
        case {"coerce": kind, **rest} if not rest:
            return coerced(kind)
        case _:
            raise ValueError(f"unknown schema form: {schema!r}")


def absence(schema: Schema) -> Absence:
    """Return how an absent member of this schema is treated."""
    match schema:
        case "any" | "unknown":
            return Presence.OPTIONAL
        case {"opt": _}:
            return Presence.OPTIONAL
        case {"default": [_, value]}:
            return Default(value)
        case {"nullable": inner} | {"describe": [inner, _]}:
            return absence(inner)
        case {"union": options}:
            found = (absence(option) for option in options)
            return next(
                (each for each in found if each is not Presence.REQUIRED), Presence.REQUIRED
            )
        case {"coerce": "string"}:
            return Default("undefined", shown=False)
        case {"coerce": "boolean"}:
            return Default(value=False, shown=False)
        case _:
            return Presence.REQUIRED


def _member(schema: Schema) -> Member:
    return Member(annotation=annotation(schema), absence=absence(schema))


def _expect_no_more(options: Mapping[str, Any]) -> None:
    if options:
        raise ValueError(f"unknown options of a schema: {sorted(options)}")


def _any_of(types: Iterable[Annotation]) -> Annotation:
    return Union[tuple(types)]  # noqa: UP007 - how many there are shows at run time


def _array(item: Annotation, bounds: Mapping[str, Any]) -> Annotation:
    options = dict(bounds)
    shortest, longest = options.pop("min", None), options.pop("max", None)
    _expect_no_more(options)

    def with_length(value: object, issues: list[Issue]) -> list[Issue]:
        """Complain about the length beside the items, which pydantic does one after the other."""
        count = len(value) if isinstance(value, list) else None
        others = [issue for issue in issues if issue.kind not in ("too_short", "too_long")]
        if count is not None and shortest is not None and count < shortest:
            others.append(Issue(kind="too_short", path=(), message="has too few items"))
        if count is not None and longest is not None and count > longest:
            others.append(Issue(kind="too_long", path=(), message="has too many items"))
        return others

    return Annotated[
        list[item], Field(min_length=shortest, max_length=longest), rewriting(with_length)
    ]


def _tuple(items: list[Annotation]) -> Annotation:
    listed = [TypeAdapter(item) for item in items]

    def with_length(value: object, issues: list[Issue]) -> list[Issue]:
        """Complain about the whole list when items are missing, beside them when too many."""
        if not isinstance(value, list):
            return issues
        if len(value) < len(items):
            return [Issue(kind="tuple_too_short", path=(), message="has too few items")]
        if len(value) == len(items):
            return issues
        too_long = Issue(kind="too_long", path=(), message="has too many items")
        return [too_long, *_item_issues(listed, value)]

    return Annotated[tuple[tuple(items)], rewriting(with_length)]  # type: ignore[misc]


def _item_issues(items: list[TypeAdapter[Any]], values: list[object]) -> list[Issue]:
    found: list[Issue] = []
    for position, (item, value) in enumerate(zip(items, values, strict=False)):
        try:
            item.validate_python(value)
        except ValidationError as error:
            found += [
                Issue(kind=issue.kind, path=(position, *issue.path), message=issue.message)
                for issue in issues_of(error)
            ]
    return found


def _union(options: list[Annotation]) -> Annotation:
    adapters = [TypeAdapter(option) for option in options]

    def first_match(value: object, _handler: ValidatorFunctionWrapHandler) -> object:
        refusals: list[list[Issue]] = []
        for adapter in adapters:
            try:
                return adapter.validate_python(value)
            except ValidationError as error:
                refusals.append(issues_of(error))
        for issues in refusals:
            if all(issue.is_refinement for issue in issues):
                raise refusal(value, issues)
        raise refusal(value, [Issue(kind="union", path=(), message="matches no option")])

    return Annotated[_any_of(options), WrapValidator(first_match)]


def _discriminated(key: str, options: list[Mapping[str, Any]]) -> Annotation:
    types = [annotation(option) for option in options]
    adapters = [TypeAdapter(each) for each in types]
    tags = [_tags(option["obj"][key]) for option in options]

    def by_tag(value: object, _handler: ValidatorFunctionWrapHandler) -> object:
        if not isinstance(value, dict):
            raise refusal(value, [Issue(kind="discriminated", path=(), message="is not an object")])
        for adapter, allowed in zip(adapters, tags, strict=True):
            if key in value and any(identical(value[key], tag) for tag in allowed):
                return adapter.validate_python(value)
        raise refusal(value, [Issue(kind="discriminated", path=(key,), message="names no option")])

    return Annotated[_any_of(types), WrapValidator(by_tag)]


def _tags(schema: Mapping[str, Any]) -> list[Any]:
    match schema:
        case {"lit": value}:
            return [value]
        case {"enum": values}:
            return list(values)
        case {"describe": [inner, _]}:
            return _tags(inner)
        case {"nullable": inner}:
            return [*_tags(inner), None]
        case _:
            raise ValueError(f"not a discriminator: {schema!r}")
