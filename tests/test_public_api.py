"""Rules for every public module: names, docstrings, and calls that read well."""

import ast
import importlib
import inspect
import pkgutil
import subprocess
import sys
import types
import typing
from collections.abc import Iterator
from enum import Enum
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = sorted(path.parent.name for path in ROOT.glob("packages/*/pyproject.toml"))


def public_modules(package: str) -> Iterator[types.ModuleType]:
    """Yield the package and what it has below itself under a name without underscores."""
    root = importlib.import_module(package)
    yield root
    for module in pkgutil.walk_packages(root.__path__, f"{package}."):
        if not any(part.startswith("_") for part in module.name.split(".")):
            yield importlib.import_module(module.name)


MODULES = [module for package in PACKAGES for module in public_modules(package)]
EXPORTS = [
    pytest.param(module, name, id=f"{module.__name__}.{name}")
    for module in MODULES
    for name in module.__all__
]

POSITIONAL_CALLS = {
    "guarded_call",  # guarded_call(context, function, *args), as `Context.run` and event loops have it
    "Emit",  # Emit("evt.order.placed", OrderPlaced(...)) stands in every handler
    "SemanticVersion",  # SemanticVersion(1, 2, 3), in the usual order
    "TraceHeaders",  # TraceHeaders(event.traceparent, event.tracestate), the pair of W3C headers
    "Handling",  # made for every try, where names would be a tenth of what a broker adds
    "derive_id",  # derive_id(source, id, index): equal parts of one name
    *("NewEvent", "Append"),  # NewEvent("Added", {"amount": 7}) stands in every program, like Emit
    *(
        "Page",
        "PageRange",
        "KnownEvent",
        "SnapshotRow",
        "TargetMark",
    ),  # rows, as a database returns them
    "Statement",  # a statement and its parameters
    *("check_lanes", "check_marks"),  # as the calls that they check
    "check_no_work",  # a stream and its targets, like PendingWorkError
    "PackedRecord",  # PackedRecord(codec, data), a pair as a database keeps it
}
POSITIONAL_METHODS = {
    *("write", "commit"),  # what a machine memory implements
    *("execute", "fetch"),  # a statement and its parameters, as asyncpg has it
    *("act", "load"),  # an aggregate's: a log and a key
    "append",  # stream and events, as every log has it
    "emit",  # a stream and what happened there
    *("mark", "register", "replay"),  # what a store for reactions implements
    "record",  # a store and a stream, like `write` of an archive
    "settle",  # what an inbox of a transport implements
    *("ask", "send"),  # the words of a command of Redis
    "call",  # function and arguments, as `Context.run` has it
    *("call_at", "call_later"),  # time and callback, as on an event loop
    *("run", "transition"),  # snapshot and event, as everywhere where statecharts are spoken of
    "run_or_undo",  # operation and statement, as `run` of a client of PostgreSQL
}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_all_lists_exactly_the_public_names(module: types.ModuleType) -> None:
    # Ruff keeps the list sorted (RUF022).
    public = {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert set(module.__all__) == public
    assert len(module.__all__) == len(public)


def test_every_name_of_a_package_has_one_home() -> None:
    homes: dict[tuple[str, str], list[str]] = {}
    for module in MODULES:
        for name in module.__all__:
            homes.setdefault((package_named(module), name), []).append(module.__name__)
    assert [found for found in homes.values() if len(found) > 1] == []


def test_the_test_kit_is_imported_only_on_request() -> None:
    code = "import sys, arvo_event_handler; print('arvo_event_handler.testing' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.strip() == b"False"


@pytest.mark.parametrize(("module", "name"), EXPORTS)
class TestExport:
    def test_is_defined_in_the_same_distribution(self, module: types.ModuleType, name: str) -> None:
        value = getattr(module, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert package_of(value) == package_named(module)

    def test_is_documented(self, module: types.ModuleType, name: str) -> None:
        assert list(undocumented(module, name)) == []

    def test_takes_at_most_one_positional_argument(
        self, module: types.ModuleType, name: str
    ) -> None:
        """So a parameter added later breaks no caller, and a call names what it configures."""
        crowded = {called for called, count in positional_arguments(module, name) if count > 1}
        assert crowded - positional_on_purpose(crowded) == set()

    def test_mentions_only_public_types(self, module: types.ModuleType, name: str) -> None:
        """So callers and subclasses can annotate arguments and results."""
        public = {id(getattr(other, listed)) for other in MODULES for listed in other.__all__}
        private = {
            mentioned.__qualname__
            for mentioned in mentioned_types(getattr(module, name))
            if package_of(mentioned) in PACKAGES and id(mentioned) not in public
        }
        assert private == set()


def test_every_positional_call_on_purpose_exists() -> None:
    crowded = {
        called
        for module in MODULES
        for name in module.__all__
        for called, count in positional_arguments(module, name)
        if count > 1
    }
    found = {called.rpartition(".")[2] for called in positional_on_purpose(crowded)}
    assert found == POSITIONAL_CALLS | POSITIONAL_METHODS


# --- words, read from the source: at run time a dataclass always has some docstring -------------


def undocumented(module: types.ModuleType, name: str) -> Iterator[str]:
    """Yield the name and its public members as far as nothing says what they mean."""
    definition, note = definition_of(module, name)
    if not isinstance(definition, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        if note is None:
            yield name
        return
    if ast.get_docstring(definition) is None:
        yield name
    if isinstance(definition, ast.ClassDef):
        yield from undocumented_members(definition)


def undocumented_members(owner: ast.ClassDef) -> Iterator[str]:
    docstring = ast.get_docstring(owner) or ""
    for statement, note in with_notes(owner.body):
        match statement:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                decorators = {ast.unparse(decorator) for decorator in statement.decorator_list}
                inherits = bool(decorators & {"override", "overload"})
                silent = not inherits and ast.get_docstring(statement) is None
            case ast.AnnAssign(target=ast.Name(id=name)) if name != "model_config":
                silent = note is None and f"{name}:" not in docstring
            case _:
                continue
        if silent and not name.startswith("_"):
            yield f"{owner.name}.{name}"


def with_notes(body: list[ast.stmt]) -> Iterator[tuple[ast.stmt, str | None]]:
    """Pair each statement with the bare string below it."""
    for statement, following in zip(body, [*body[1:], None], strict=True):
        match following:
            case ast.Expr(value=ast.Constant(value=str(note))):
                yield statement, note
            case _:
                yield statement, None


def definition_of(module: types.ModuleType, name: str) -> tuple[ast.stmt, str | None]:
    package = package_named(module)
    value = getattr(module, name)
    sources = ROOT / "packages" / package / "src"
    paths = sorted((sources / package).rglob("*.py"))
    if inspect.isclass(value) or inspect.isfunction(value):
        paths = [Path(inspect.getfile(inspect.unwrap(value)))]
    for path in paths:
        for statement, note in with_notes(ast.parse(path.read_text("utf-8")).body):
            match statement:
                case (
                    ast.ClassDef(name=defined)
                    | ast.FunctionDef(name=defined)
                    | ast.AsyncFunctionDef(name=defined)
                    | ast.AnnAssign(target=ast.Name(id=defined))
                    | ast.Assign(targets=[ast.Name(id=defined)])
                ) if defined == name:
                    return statement, note
                case _:
                    pass
    raise LookupError(f"{module.__name__}.{name} is defined nowhere in {sources}")


# --- calls, as Python sees them ---------------------------------------------


def positional_arguments(module: types.ModuleType, name: str) -> Iterator[tuple[str, int]]:
    """Yield each public call and how many positional arguments it takes; `*args` counts as two."""
    value = getattr(module, name)
    if inspect.isfunction(value):
        yield name, count_positional(value)
    elif inspect.isclass(value):
        if constructor_is_ours(value):
            yield name, count_positional(value)
        for member, function in methods(value):
            bound = not isinstance(vars_of(value)[member], staticmethod)
            yield f"{name}.{member}", count_positional(function) - bound


def count_positional(function: typing.Callable[..., object]) -> int:
    kinds = [parameter.kind for parameter in inspect.signature(function).parameters.values()]
    single = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
    return sum(kind in single for kind in kinds) + 2 * kinds.count(inspect.Parameter.VAR_POSITIONAL)


def constructor_is_ours(cls: type) -> bool:
    """Enums and protocols are not constructed; typed dicts and bare exceptions do as Python says."""
    if issubclass(cls, Enum) or typing.is_typeddict(cls) or getattr(cls, "_is_protocol", False):
        return False
    return not issubclass(cls, BaseException) or "__init__" in vars_of(cls)


def vars_of(cls: type) -> dict[str, object]:
    """What the class has from this project, not from pydantic or Python."""
    ours = [base for base in reversed(cls.__mro__) if package_of(base) in PACKAGES]
    return {name: member for base in ours for name, member in vars(base).items()}


def methods(cls: type) -> Iterator[tuple[str, types.FunctionType]]:
    """Yield the public methods that are called by name; pytest passes a test its fixtures."""
    for name, member in vars_of(cls).items():
        function = getattr(member, "__func__", member)
        if isinstance(function, types.FunctionType) and not name.startswith(("_", "test_")):
            yield name, function


def positional_on_purpose(called: set[str]) -> set[str]:
    return {
        name
        for name in called
        if name in POSITIONAL_CALLS
        or ("." in name and name.rpartition(".")[2] in POSITIONAL_METHODS)
    }


# --- types that a user meets ------------------------------------------------


def package_named(module: types.ModuleType) -> str:
    return module.__name__.partition(".")[0]


def package_of(value: type | types.FunctionType) -> str:
    return value.__module__.partition(".")[0]


def mentioned_types(value: object) -> Iterator[type]:
    """Yield the classes that the annotations of a public function or class mention."""
    if inspect.isfunction(value):
        yield from classes_in(list(typing.get_type_hints(value).values()))
    elif inspect.isclass(value):
        fields = typing.get_type_hints(value)
        yield from classes_in([hint for name, hint in fields.items() if not name.startswith("_")])
        for _, function in methods(value):
            yield from classes_in(list(typing.get_type_hints(function).values()))
        if constructor_is_ours(value) and "__init__" in vars_of(value):
            yield from classes_in(list(typing.get_type_hints(value.__init__).values()))


def classes_in(annotation: object) -> Iterator[type]:
    if isinstance(annotation, list):
        for part in annotation:
            yield from classes_in(part)
    elif isinstance(annotation, typing.TypeVar):
        yield from classes_in([annotation.__bound__, *annotation.__constraints__])
    elif arguments := typing.get_args(annotation):
        yield from classes_in([typing.get_origin(annotation), *arguments])
    elif inspect.isclass(annotation):
        yield annotation
