"""The orders of the example over three workers, one of which is killed, on each transport."""

import json
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from real_servers.fixtures import missing

from arvo_core import ArvoEvent
from order_fulfilment.delays import DAY_SECONDS
from order_fulfilment.ledger import Ledger
from real_servers import NatsServer, RedisServer, ServerNotFoundError

from .test_order_fulfilment import EXAMPLE, EXPECTED, check_books, ending
from .test_order_waits import ENDS, check_slow_books
from .worker_command import Arvo, Site, arvo as arvo, topic

ORDERS = EXAMPLE / "orders.jsonl"


@pytest.fixture(params=["redis", "nats"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    with ExitStack() as stack:
        try:
            server = stack.enter_context(RedisServer.start())
            nats = stack.enter_context(NatsServer.start()) if request.param == "nats" else None
        except ServerNotFoundError as error:
            missing(error)
        site = Site(server=server, nats=nats, folder=tmp_path)
        stack.callback(site.end)
        yield site


@pytest.mark.alone
def test_a_worker_killed_half_way_changes_nothing_in_the_output(site: Site, arvo: Arvo) -> None:
    workers = [site.worker(EXAMPLE, "--memory", site.memory) for _ in range(3)]
    site.until_ready(*workers)
    send = site.start("send", EXAMPLE, "--events", ORDERS, "--wait", "60s")
    assert send.stdout is not None
    seen = [send.stdout.readline() for _ in range(60)]
    workers[0].kill()
    rest = send.stdout.read()
    assert send.wait() == 3, site.messages(send)  # some lines of the file are bad on purpose
    answers = [ArvoEvent.from_json(line) for line in [*seen, *rest.splitlines()]]
    assert len(answers) == 288
    assert {answer.parentid: ending(answer) for answer in answers} == EXPECTED
    assert "288 results + 12 rejected + 0 failed = 300 lines read" in site.messages(send)
    ledger = Ledger(site.folder / "ledger.db")
    check_books(ledger)
    ledger.close()

    for worker in workers[1:]:
        worker.terminate()
    assert [worker.wait() for worker in workers] == [-signal.SIGKILL, 0, 0]
    assert arvo("dead", "list").err == "arvo: 0 dead letters\n"

    # The same file again, with no worker there: each has its answer, so none is sent.
    again = arvo("send", EXAMPLE, "--events", ORDERS, "--wait", "60s")
    assert {answer.id for answer in again.answers} == {answer.id for answer in answers}
    assert topic(arvo, "arvo.orc.order.fulfilment")["waiting"] == 0

    # What `arvo run` writes over the same books, but for times and traces.
    run = arvo("run", EXAMPLE, "--events", ORDERS)
    assert Counter(map(essence, run.answers)) == Counter(map(essence, answers))


def test_orders_that_wait_for_people_end_in_workers_as_in_one_process(
    site: Site, arvo: Arvo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DAY_SECONDS, "1")
    for _ in range(2):
        site.worker(EXAMPLE, "--flavour", "machine", "--memory", site.memory)
    done = arvo("send", EXAMPLE, "--events", EXAMPLE / "slow_orders.jsonl", "--wait", "60s")
    assert done.status == 0, done.err
    assert {answer.parentid: ending(answer) for answer in done.answers} == {
        order: end for order, (end, _) in ENDS.items()
    }
    ledger = Ledger(site.folder / "ledger.db")
    check_slow_books(ledger)
    ledger.close()


def essence(answer: ArvoEvent) -> str:
    """Return what does not depend on which of a workflow's replies came last, as its id does."""
    data = {name: value for name, value in answer.data.items() if name != "errorStack"}
    return json.dumps(
        [answer.type, answer.source, answer.subject, answer.parentid, data],
        sort_keys=True,
    )
