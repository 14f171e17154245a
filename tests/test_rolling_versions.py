"""Two versions of an application at work at the same time, as processes over a real Redis."""

import subprocess
from collections import Counter
from pathlib import Path

import pytest

from arvo_core import ArvoEvent

from .worker_command import (
    Arvo,
    Site,
    arvo as arvo,
    site as site,
    started_redis,
    until,
)

DOUBLER = Path(__file__).parent.parent / "packages/arvo_cli/tests/targets/doubler"
OLD, NEW = "#/test/double/1.0.0", "#/test/double/2.0.0"
REQUESTS = 20

server = pytest.fixture(scope="module")(started_redis)


def workers(site: Site, *flavours: str) -> list[subprocess.Popen[str]]:
    started = [
        site.worker(DOUBLER, "--memory", site.memory, "--flavour", flavour) for flavour in flavours
    ]
    site.until_ready(*started)
    return started


def send(
    site: Site, contract: str, *options: object, count: int = REQUESTS
) -> subprocess.Popen[str]:
    path = site.folder / f"numbers-{len(site.processes)}.jsonl"
    path.write_text("".join(f'{{"value": {number}}}\n' for number in range(count)))
    return site.start("send", DOUBLER, "--events", path, "--contract", contract, *options)


def values(process: subprocess.Popen[str]) -> Counter[int]:
    out, _ = process.communicate()
    return Counter(ArvoEvent.from_json(line).data["value"] for line in out.splitlines())


@pytest.mark.alone
@pytest.mark.timeout(120)
def test_requests_of_a_new_version_wait_for_new_workers(site: Site, arvo: Arvo) -> None:
    """They reach old workers first, which go on with what they know: no event is dead."""
    old = workers(site, "old", "old")
    # Init events of a workflow, in order, and requests to a service, without any.
    later = [send(site, NEW, "--wait", "60s"), send(site, "#/test/multiply/2.0.0", "--wait", "60s")]
    assert values(send(site, OLD, "--wait", "60s")) == {2 * number: 1 for number in range(REQUESTS)}
    assert [process.poll() for process in later] == [None, None]

    [new] = workers(site, "new")  # beside those that are old
    for process in later:
        assert values(process) == {3 * number: 1 for number in range(REQUESTS)}
        assert process.wait() == 0, site.messages(process)
    for process in (*old, new):
        process.terminate()
    assert [process.wait() for process in (*old, new)] == [0, 0, 0]
    assert arvo("dead", "list").err == "arvo: 0 dead letters\n"


@pytest.mark.alone
def test_without_new_workers_they_are_dead_once_the_patience_is_over(
    site: Site, arvo: Arvo
) -> None:
    patience = ("--newer-patience", "1s")
    old = site.worker(DOUBLER, "--memory", site.memory, "--flavour", "old", *patience)
    site.until_ready(old)
    requests = [send(site, new, count=1) for new in (NEW, "#/test/multiply/2.0.0")]
    assert [request.wait() for request in requests] == [0, 0]
    until(lambda: arvo("dead", "list").err == "arvo: 2 dead letters\n")
    assert arvo("dead", "list", "--reason", "unknown version").err == "arvo: 2 dead letters\n"
    old.terminate()
    assert old.wait() == 0
