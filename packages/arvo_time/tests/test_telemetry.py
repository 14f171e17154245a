"""Spans of clients: how they are named, and how they describe a failure."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Final

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from arvo_time import BackendError
from arvo_time.telemetry import client_span, tracing_enabled

SYSTEM: Final = {"db.system.name": "redis"}


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """Return the spans made within the test, by a provider that is removed after it."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    yield exporter
    provider.shutdown()


def only(spans: InMemorySpanExporter) -> ReadableSpan:
    (span,) = spans.get_finished_spans()
    return span


@pytest.mark.parametrize(
    ("target", "name", "attributes"),
    [
        ({}, "GET", {}),
        ({"collection": "a.b"}, "GET a.b", {"db.collection.name": "a.b"}),
        ({"procedure": "commit"}, "GET commit", {"db.stored_procedure.name": "commit"}),
    ],
    ids=["nothing", "collection", "procedure"],
)
def test_a_span_names_its_operation_and_target(
    spans: InMemorySpanExporter,
    target: dict[str, str],
    name: str,
    attributes: dict[str, str],
) -> None:
    with client_span("GET", scope="shop", attributes=SYSTEM, **target):
        pass
    span = only(spans)
    assert (span.name, span.kind) == (name, SpanKind.CLIENT)
    assert dict(span.attributes or {}) == SYSTEM | {"db.operation.name": "GET"} | attributes
    assert span.status.status_code is StatusCode.UNSET
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.name == "shop"


def raised(error: Exception, *, cause: Exception | None = None) -> Exception:
    error.__cause__ = cause
    return error


def ours(message: str) -> BackendError:
    return BackendError(message, retryable=True, outcome="failed")


@pytest.mark.parametrize(
    ("error", "type_", "description"),
    [
        (raised(ours("ours: theirs"), cause=OSError("theirs")), "OSError", "theirs"),
        (raised(ours("ours\nb"), cause=OSError("data")), "OSError", "ours"),
        (raised(ours("ours"), cause=TimeoutError()), "TimeoutError", "ours"),
        (ours("closed"), "BackendError", "closed"),
        (ValueError("is taken\nDETAIL: a value"), "ValueError", "is taken"),
        (OSError("x" * 10_000), "OSError", None),
    ],
    ids=[
        "of the driver",
        "that ours leaves out",
        "without a message",
        "ours alone",
        "with data",
        "long",
    ],
)
def test_a_span_names_the_error_of_the_driver(
    spans: InMemorySpanExporter, error: Exception, type_: str, description: str | None
) -> None:
    with (
        pytest.raises(type(error)),
        client_span("GET", scope="shop", attributes=SYSTEM),
    ):
        raise error
    span = only(spans)
    assert (span.attributes or {})["error.type"] == type_
    assert span.status.status_code is StatusCode.ERROR
    said = span.status.description
    assert said is not None
    if description is None:
        assert len(said) <= 4096
    else:
        assert said == description
    assert span.events == ()


def test_a_cancelled_operation_has_not_failed(spans: InMemorySpanExporter) -> None:
    with (
        pytest.raises(asyncio.CancelledError),
        client_span("GET", scope="shop", attributes=SYSTEM),
    ):
        raise asyncio.CancelledError
    assert only(spans).status.status_code is StatusCode.UNSET


def test_no_span_is_made_without_an_sdk() -> None:
    first, second = (client_span("GET", scope="shop", attributes=SYSTEM) for _ in range(2))
    assert first is second


def test_tracing_is_off_until_a_provider_is_installed() -> None:
    # In a process of its own: a provider can be installed only once.
    program = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from arvo_time.telemetry import tracing_enabled

print(tracing_enabled())
trace.set_tracer_provider(TracerProvider(shutdown_on_exit=False))
print(tracing_enabled())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.split() == [b"False", b"True"]
    assert isinstance(tracing_enabled(), bool)


def test_a_provider_that_the_environment_names_is_used() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from arvo_time.telemetry import tracing_enabled; print(tracing_enabled())",
        ],
        env={**os.environ, "OTEL_PYTHON_TRACER_PROVIDER": "sdk_tracer_provider"},
        capture_output=True,
        check=True,
    )
    assert done.stdout.split() == [b"True"]


def test_telemetry_is_imported_only_on_request() -> None:
    program = "import sys, arvo_time; print('opentelemetry' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.split() == [b"False"]
