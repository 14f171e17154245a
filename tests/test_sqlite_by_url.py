"""URLs that `--memory sqlite:...` accepts and refuses."""

from pathlib import Path

import pytest

from arvo_cli import main
from arvo_memory_sqlite._url import connect_url


@pytest.mark.parametrize(
    ("url", "file"),
    [
        ("sqlite:///state.db", "state.db"),
        ("sqlite:///a%20shop/state%23.db", "a shop/state#.db"),
        ("sqlite:///state.db?synchronous=normal", "state.db"),
        ("sqlite:///state.db?synchronous=full", "state.db"),
        ("sqlite:///state.db?ttl=1m&max_hold=1h", "state.db"),
        ("sqlite:///{folder}/full.db", "full.db"),
    ],
)
async def test_a_url_names_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, file: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    async with connect_url(url.replace("{folder}", str(tmp_path))) as memory:
        await memory.write("order-7", {"count": 1}, None)
        assert path.is_file()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("sqlite:", "names no file"),
        ("sqlite:state.db", "names no file"),
        ("sqlite:///", "names no file"),
        ("sqlite:///folder/", "names no file"),
        ("sqlite://state.db", "two slashes begin one"),
        ("sqlite:///state.db#3", "%23"),
        ("sqlite::memory:", "write memory:"),
        ("sqlite:///:memory:", "write memory:"),
        ("sqlite:///state.db?mode=ro", "no option 'mode'; there are chunk_bytes"),
        ("sqlite:///state.db?synchronous=off", "must be full or normal"),
        ("sqlite:///state.db?synchronous=full&synchronous=normal", "is given twice"),
    ],
)
def test_an_invalid_url_is_refused(url: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        connect_url(url)


def test_the_command_knows_the_scheme(capsys: pytest.CaptureFixture[str]) -> None:
    root = Path(__file__).parents[1]
    example = root / "examples" / "order_fulfilment"
    events = str(example / "orders.jsonl")
    assert main(["run", str(example), "--events", events, "--memory", "sqlite://x"]) != 0
    assert "cannot open the sqlite memory: a file has no host" in capsys.readouterr().err
