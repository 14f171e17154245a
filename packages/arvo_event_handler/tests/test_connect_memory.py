"""Memories are opened by URL: packages register their schemes as entry points."""

import sys
from pathlib import Path

import pytest

from arvo_event_handler import SimpleMachineMemory, UnknownMemoryError
from arvo_event_handler.memory import connect_memory

MODULE = """
from contextlib import asynccontextmanager
from arvo_event_handler import SimpleMachineMemory

events = []

@asynccontextmanager
async def connect(url):
    events.append(f"open {url}")
    yield SimpleMachineMemory()
    events.append("close")

def picky(url):
    raise ValueError("there is no such option")
"""
ENTRY_POINTS = """
[arvo.machine_memory]
toy = toy_memory_of_connect:connect
picky = toy_memory_of_connect:picky
broken = toy_memory_of_connect:no_such_name
"""


@pytest.fixture(autouse=True)
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package with memories of its own."""
    info = tmp_path / "toy_memory-1.0.dist-info"
    info.mkdir()
    (tmp_path / "toy_memory_of_connect.py").write_text(MODULE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-memory\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "toy_memory_of_connect", raising=False)


@pytest.mark.parametrize("url", ["toy://host/7?size=3", "TOY:x"])
async def test_the_package_of_the_scheme_gets_the_whole_url(url: str) -> None:
    async with connect_memory(url) as memory:
        assert isinstance(memory, SimpleMachineMemory)
        assert sys.modules["toy_memory_of_connect"].events == [f"open {url}"]
    assert sys.modules["toy_memory_of_connect"].events == [f"open {url}", "close"]


@pytest.mark.parametrize(
    ("url", "scheme"),
    [
        ("unheard://ann:secret@host", "unheard"),
        ("UNHEARD:secret", "unheard"),
        ("secret.db", None),
        ("7:secret", None),
        ("", None),
        ("z" * 100_000 + "://secret", None),
    ],
)
def test_an_unknown_scheme_is_refused_with_the_installed_ones(url: str, scheme: str | None) -> None:
    with pytest.raises(UnknownMemoryError) as caught:
        connect_memory(url)
    assert caught.value.scheme == scheme
    assert {"broken", "picky", "toy"} <= set(caught.value.installed)
    assert sorted(caught.value.installed) == list(caught.value.installed)
    assert "toy:" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert len(str(caught.value)) < 1_000


def test_the_error_of_a_package_is_passed_on() -> None:
    with pytest.raises(ValueError, match="there is no such option"):
        connect_memory("picky:x")
    with pytest.raises(AttributeError, match="no_such_name"):
        connect_memory("broken:x")
