"""`arvo worker`: what it refuses. Workers at work are in tests/test_worker_and_send.py, over Redis."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from arvo_transport import InMemoryEngine, InMemoryTransport, TopicSpec

from .conftest import TOY_URL


@pytest.fixture(autouse=True)
def _engine(engine: InMemoryEngine) -> None:
    """The transport of `ARVO_TRANSPORT`."""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--memory", "memory:"),
            "--memory memory: is within one process, and other workers would not find the workflows",
        ),
        ((), "arvo.orc.tally is a workflow, so it needs a --memory that all workers share"),
        (
            ("--handlers", "com.word.cuont"),
            "has no handler 'com.word.cuont'; did you mean com.word.count?",
        ),
        (
            ("--handlers", "com.word.count,zzz"),
            "has no handler 'zzz'; choose among com.word.count, arvo.orc.tally",
        ),
        (("--handlers", "com.word.count,"), "--handlers takes sources of handlers, with commas"),
        (("--grace", "30"), "--grace takes a duration with its unit (ms, s, m, h, d), such as 30s"),
        (("--newer-patience", "long"), "--newer-patience takes a duration with its unit"),
        (("--wait-for-transport", "soon"), "--wait-for-transport takes a duration with its unit"),
        (("--health", "8080"), "--health takes HOST:PORT, such as 127.0.0.1:8080"),
        (("--health", "host:99999"), "--health takes HOST:PORT, such as 127.0.0.1:8080"),
        (("--health", "192.0.2.1:80"), "--health: cannot listen at 192.0.2.1:80: "),
        (("--flavour", "fast"), "has no flavours; leave --flavour out"),
        (
            ("--transport", "toy:odd", "--handlers", "com.word.count"),
            "cannot open the toy transport: unknown option",
        ),
        (("--memory", "nowhere:"), "no installed package has a machine memory for nowhere:"),
    ],
    ids=lambda value: "-".join(value) or "no-memory" if isinstance(value, tuple) else None,
)
def test_wrong_usage(arvo: Any, targets: Path, options: tuple[str, ...], message: str) -> None:
    done = arvo("worker", targets / "tally", *options)
    assert (done.status, message in done.err) == (2, True), done.err


def test_an_engine_that_refuses_is_not_waited_for(arvo: Any, targets: Path) -> None:
    done = arvo("worker", targets / "greeter", "--transport", TOY_URL.replace("host", "locked"))
    assert done.status == 4
    assert "arvo: cannot reach the toy transport: wrong password in toy://me:***@" in done.err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_while_the_target_is_imported_ends_the_worker(
    tmp_path: Path, number: signal.Signals
) -> None:
    os.mkfifo(tmp_path / "loading")
    package = tmp_path / "slow"
    package.mkdir()
    (package / "__init__.py").write_text(
        f"import signal\nopen({str(tmp_path / 'loading')!r}, 'w').close()\nsignal.pause()\n"
    )
    program = "import sys; from arvo_cli import main; sys.exit(main(sys.argv[1:]))"
    with subprocess.Popen(
        [sys.executable, "-c", program, "worker", package], stderr=subprocess.PIPE, text=True
    ) as process:
        assert (tmp_path / "loading").read_text() == ""
        process.send_signal(number)
        _, err = process.communicate()
    assert process.returncode == 0, err
    assert err.endswith("ended        it was never ready\n")


def test_a_topic_of_another_order_is_refused_with_the_remedy(
    arvo: Any, targets: Path, engine: InMemoryEngine
) -> None:
    async def declare() -> None:
        transport = InMemoryTransport(engine)
        await transport.declare([TopicSpec("com.greet.name", order="subject")])
        await transport.aclose()

    asyncio.run(declare())
    done = arvo("worker", targets / "greeter")
    assert done.status == 2
    assert "arvo topics relayout --order none com.greet.name" in done.err
