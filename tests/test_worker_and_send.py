"""`arvo worker` and `arvo send` over a real Redis, as processes and within this one."""

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from arvo_core import ArvoEvent
from real_servers import RedisServer

from .test_order_fulfilment import EXAMPLE, EXPECTED, ending
from .worker_command import (
    Arvo,
    Outcome,
    Site,
    arvo as arvo,
    site as site,
    started_redis,
    topic,
    until,
)

SCRIBE = Path(__file__).parent.parent / "packages/arvo_cli/tests/targets/scribe"
ORDERS = EXAMPLE / "orders.jsonl"
NOTE = "#/test/note/1.0.0"


server = pytest.fixture(scope="module")(started_redis)
mortal_server = pytest.fixture(started_redis)


def notes(folder: Path, numbers: range, **options: bool) -> Path:
    path = folder / "notes.jsonl"
    lines = (json.dumps({"number": number, **options}) for number in numbers)
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def sending(path: Path, *options: object) -> tuple[object, ...]:
    return ("send", SCRIBE, "--events", path, "--contract", NOTE, *options)


@pytest.mark.alone
def test_rolling_restarts_under_load_exit_with_0_and_nothing_runs_twice(site: Site) -> None:
    path = notes(site.folder, range(400))
    worker = site.worker(SCRIBE, "--prefetch", 4)
    site.until_ready(worker)
    send = site.start(*sending(path, "--wait", "60s", "--out", site.folder / "noted"))
    for count in (40, 150):
        successor = site.worker(SCRIBE, "--prefetch", 4)
        site.until_ready(successor)
        until(lambda least=count: len(site.begun()) >= least)  # type: ignore[misc]
        worker.terminate()
        assert worker.wait() == 0, site.messages(worker)
        assert "  draining " in site.messages(worker)
        assert site.messages(worker).endswith("ended        drained\n")
        worker = successor
    assert send.wait() == 0, site.messages(send)
    assert sorted(site.begun()) == [*range(400)]
    lines = (site.folder / "noted").read_text().splitlines()
    answers = [ArvoEvent.from_json(line).data["number"] for line in lines]
    assert sorted(answers) == [*range(400)]


def test_the_third_signal_ends_a_process_whose_loop_stands_still(site: Site, arvo: Arvo) -> None:
    worker = site.worker(SCRIBE)
    site.until_ready(worker)
    assert arvo(*sending(notes(site.folder, range(1), stubborn=True))).status == 0
    until(lambda: site.begun() == [0])
    for _ in range(3):
        worker.send_signal(signal.SIGINT)
        time.sleep(0.05)  # else the system delivers several as one
    assert worker.wait() == 130
    assert "ended immediately; others get what was in hand" in site.messages(worker)


# --- a worker in this process, with another thread beside it --------------------------------


class Beside:
    """What a thread beside a worker may do."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.over = False
        """Whether the worker has ended."""

    def ask(self, path: str) -> dict[str, Any]:
        """Ask the worker for its health; empty while it does not answer."""
        connection = HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            connection.request("GET", path)
            shown: dict[str, Any] = json.load(connection.getresponse())
        except OSError:
            return {}
        finally:
            connection.close()
        return shown

    def until(self, state: str) -> None:
        """Wait until the worker is in a state."""
        self.until_that(lambda: self.ask("/ready").get("state") == state)

    def until_that(self, condition: Callable[[], bool]) -> None:
        """Wait for something that happens before the worker ends."""

        def happened() -> bool:
            assert not self.over
            return condition()

        until(happened)

    def interrupt(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)


Working = Callable[..., Outcome]


@pytest.fixture
def working(arvo: Arvo) -> Working:
    """Run a worker until a function in another thread has ended it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    def call(beside: Callable[[Beside], None], *options: object) -> Outcome:
        failures: list[BaseException] = []
        worker = Beside(port)

        def run() -> None:
            try:
                beside(worker)
            except BaseException as error:
                failures.append(error)
                if not worker.over:
                    worker.interrupt()
                    worker.interrupt()

        thread = threading.Thread(target=run)
        thread.start()
        done = arvo("worker", SCRIBE, "--health", f"127.0.0.1:{port}", *options)
        worker.over = True
        thread.join()
        if failures:
            raise AssertionError(done) from failures[0]
        return done

    return call


@pytest.fixture
def one_waits(site: Site, arvo: Arvo, working: Working) -> None:
    """One event that is handled until the file `go` is there."""

    def nothing(beside: Beside) -> None:
        beside.until("ready")
        beside.interrupt()

    working(nothing)  # declares the topic
    assert arvo(*sending(notes(site.folder, range(1), patient=True))).status == 0


@pytest.mark.usefixtures("one_waits")
class TestEnding:
    def test_the_first_signal_drains(self, site: Site, working: Working, arvo: Arvo) -> None:
        seen: list[dict[str, Any]] = []

        def beside(worker: Beside) -> None:
            worker.until_that(lambda: site.begun() == [0])
            worker.until("ready")
            seen.extend([worker.ask("/live"), worker.ask("/status")])
            worker.interrupt()
            worker.until("draining")
            (site.folder / "go").touch()

        done = working(beside)
        assert done.status == 0, done.err
        lines = [line[22:] for line in done.err.splitlines()]
        assert lines[2].startswith("ready        1 handler of ")
        assert lines[3:] == [
            "draining     1 in hand; interrupt again to give them back, or after 30 s",
            "ended        drained",
        ]
        assert seen[0]["state"] == "ready"
        assert seen[1]["stats"]["topics"]["com.note.write"]["running"] == 1
        assert topic(arvo, "com.note.write")["in_hand"] == 0

    def test_the_second_gives_back_what_is_in_hand(
        self, site: Site, working: Working, arvo: Arvo
    ) -> None:
        def beside(worker: Beside) -> None:
            worker.until_that(lambda: site.begun() == [0])
            worker.interrupt()
            worker.until("draining")
            worker.interrupt()

        done = working(beside)
        assert done.status == 1, done.err
        assert "giving back  1 in hand, as interrupted again" in done.err
        assert topic(arvo, "com.note.write")["waiting"] == 1

    def test_after_the_grace_the_rest_is_given_back(
        self, site: Site, working: Working, arvo: Arvo
    ) -> None:
        def beside(worker: Beside) -> None:
            worker.until_that(lambda: site.begun() == [0])
            worker.interrupt()

        done = working(beside, "--grace", "100ms")
        assert done.status == 1, done.err
        assert "giving back  1 in hand, as not done after 0.1 s" in done.err
        assert topic(arvo, "com.note.write")["waiting"] == 1


class TestEngineAway:
    @pytest.fixture
    def site(self, mortal_server: RedisServer, tmp_path: Path) -> Site:
        return Site(server=mortal_server, folder=tmp_path)

    def test_a_worker_waits_for_an_engine_that_is_not_there_yet(
        self, site: Site, working: Working
    ) -> None:
        def beside(worker: Beside) -> None:
            worker.until_that(lambda: "cannot reach" in worker.ask("/ready").get("reason", ""))
            site.server.restart()
            worker.until("ready")
            worker.interrupt()

        site.server.kill()
        done = working(beside)
        assert done.status == 0
        assert "  starting     cannot reach the redis transport" in done.err

    def test_a_worker_outlives_its_engine(self, site: Site, working: Working, arvo: Arvo) -> None:
        def beside(worker: Beside) -> None:
            worker.until("ready")
            site.server.kill()
            worker.until("degraded")
            site.server.restart()
            worker.until("ready")
            worker.interrupt()

        done = working(beside)
        assert done.status == 0
        said = [line.split()[1] for line in done.err.splitlines() if line.startswith("2")]
        # Its topics miss the engine one after the other, and each says so.
        stages = [stage for stage, _ in groupby(said)]
        assert stages == [
            *("starting", "health", "ready", "degraded", "ready", "draining", "ended")
        ]

    def test_one_that_never_comes_ends_the_worker_with_4(self, site: Site, arvo: Arvo) -> None:
        site.server.kill()
        done = arvo("worker", SCRIBE, "--wait-for-transport", "300ms")
        assert done.status == 4
        assert done.err.splitlines()[-1].startswith("arvo: cannot reach the redis transport")

    def test_a_signal_before_it_was_reached_ends_the_worker_with_nothing_in_hand(
        self, site: Site, working: Working
    ) -> None:
        def beside(worker: Beside) -> None:
            worker.until_that(lambda: "cannot reach" in worker.ask("/ready").get("reason", ""))
            worker.interrupt()

        site.server.kill()
        done = working(beside)
        assert (done.status, "ended        it was never ready" in done.err) == (0, True)

    def test_send_says_that_the_engine_is_away(self, site: Site, arvo: Arvo) -> None:
        site.server.kill()
        done = arvo(*sending(notes(site.folder, range(3))))
        assert (done.status, "cannot use the redis transport" in done.err) == (4, True)


def test_without_workers_nobody_takes_the_events(site: Site, arvo: Arvo) -> None:
    done = arvo(*sending(notes(site.folder, range(3))))
    assert (done.status, "no worker has served this transport yet" in done.err) == (2, True)


@pytest.fixture(scope="class")
def shared(server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One worker of everything, which all tests share."""
    site = Site(server=server, folder=tmp_path_factory.mktemp("shared"))
    site.until_ready(site.worker(SCRIBE), site.worker(EXAMPLE, "--memory", site.memory))
    yield site
    site.end()


class TestSend:
    @pytest.fixture
    def site(self, shared: Site) -> Site:
        return shared

    def test_ids_are_printed_and_a_file_sent_twice_is_done_once(
        self, site: Site, arvo: Arvo
    ) -> None:
        path = notes(site.folder, range(100, 105))
        first, second = arvo(*sending(path)), arvo(*sending(path))
        assert first.out == second.out
        assert len({*first.out.split()}) == 5
        assert "5 results + 0 rejected + 0 failed = 5 lines read" in first.err
        assert len(arvo(*sending(path, "--wait", "30s")).answers) == 5
        assert [site.begun().count(number) for number in range(100, 105)] == [1] * 5

    def test_one_request_by_key(self, arvo: Arvo) -> None:
        request = ("send", SCRIBE, "--contract", NOTE, "--key", "note-7", "--wait", "30s")
        first, second = (arvo(*request, "--data", f'{{"number": {each}}}') for each in (200, 201))
        assert (first.status, first.answers[0].data) == (0, {"number": 200})
        assert second.out == first.out  # the first request of a key wins

    def test_missing_answers_end_it_with_3_and_come_when_it_is_sent_again(
        self, site: Site, arvo: Arvo
    ) -> None:
        path = notes(site.folder, range(300, 302), patient=True)
        done = arvo(*sending(path, "--wait", "200ms"))
        assert done.status == 3
        assert "line 1 failed: no answer within 0.2 s; it is stored: send it again" in done.err
        assert "0 results + 0 rejected + 2 failed = 2 lines read" in done.err
        (site.folder / "go").touch()
        done = arvo(*sending(path, "--wait", "30s"))
        (site.folder / "go").unlink()
        assert (done.status, len(done.answers)) == (0, 2)
        assert [site.begun().count(number) for number in (300, 301)] == [1, 1]

    def test_events_without_a_target_are_sent_as_they_are(self, site: Site, arvo: Arvo) -> None:
        path = site.folder / "one.jsonl"
        path.write_text(ORDERS.read_text("utf-8").splitlines(keepends=True)[0])
        done = arvo("send", "--events", path, "--wait", "30s")
        assert done.status == 0, done.err
        assert ending(done.answers[0]) == EXPECTED["order-0001"]

    def test_an_event_that_nobody_handles_fails_alone(self, site: Site, arvo: Arvo) -> None:
        order = json.loads(ORDERS.read_text("utf-8").splitlines()[1])
        stray = order | {"id": "stray", "type": "com.no.body", "to": "com.no.body"}
        path = site.folder / "stray.jsonl"
        path.write_text(f"{json.dumps(stray)}\n{json.dumps(order)}\n")
        done = arvo("send", "--events", path, "--wait", "30s")
        assert (done.status, len(done.answers)) == (3, 1)
        assert "line 1 failed: nobody has declared the topic 'com.no.body'" in done.err

    def test_an_answer_to_a_topic_of_workers_is_refused(self, site: Site, arvo: Arvo) -> None:
        order = json.loads(ORDERS.read_text("utf-8").splitlines()[1])
        path = site.folder / "loop.jsonl"
        path.write_text(
            json.dumps(order | {"subject": "s", "source": "com.note.write", "to": "com.note.write"})
        )
        done = arvo("send", "--events", path)
        assert done.status == 3
        assert "line 1 failed: the answer would go to 'com.note.write'" in done.err

    def test_bytes_that_are_no_event_become_a_letter_that_cannot_be_redriven(
        self, site: Site, arvo: Arvo
    ) -> None:
        site.server.command("XADD", f"{{{site.name}:in:0}}:s", "*", "event", "nonsense\x1b[2J")

        def letters() -> list[dict[str, Any]]:
            return [json.loads(line) for line in arvo("dead", "list", "--json").out.splitlines()]

        until(lambda: bool(letters()))
        [letter] = letters()
        assert letter["reason"] == "unparsable"
        shown = arvo("dead", "show", letter["key"]).out
        assert "bytes, cut: not an event, so it cannot be redriven\n  nonsense\ufffd[2J" in shown
        for chosen in ([letter["key"]], ["--reason", "unparsable"]):
            done = arvo("dead", "redrive", *chosen, "--yes")
            assert done.status == 1
            assert "was not kept as a whole, so it cannot be published again" in done.err
        assert arvo("dead", "drop", letter["key"], "--yes").status == 0
        assert letters() == []

    def test_an_interrupt_leaves_what_is_under_way(self, site: Site, arvo: Arvo) -> None:
        def interrupts() -> None:
            until(lambda: {400, 401} <= {*site.begun()})
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.05)  # else the system delivers both as one

        thread = threading.Thread(target=interrupts)
        thread.start()
        done = arvo(*sending(notes(site.folder, range(400, 402), patient=True), "--wait", "60s"))
        thread.join()
        (site.folder / "go").touch()
        assert done.status == 130
        assert "interrupted: nothing more is sent, 2 under way are finished" in done.err
        assert "line 1 failed: left; it may have been stored" in done.err
