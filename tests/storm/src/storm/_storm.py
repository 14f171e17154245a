"""The storm: one queue and many workers, of which random ones are killed or frozen."""

import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from asyncio import StreamReader, StreamWriter
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from random import Random
from typing import Any, Final

from arvo_core import ArvoEvent

from ._contracts import CLIENT
from ._expected import init_of
from ._ledger import Ledger, read_ledger
from ._queue import EventQueue
from ._report import Answers, Report
from ._settings import Settings, WorkerSettings
from ._worker import LINE_LIMIT, work

_PREFETCH: Final = 4
_KILLS_PER_FREEZE: Final = 3
_CRASHES: Final = 5  # workers that ended by themselves, before we give up


@dataclass(slots=True, eq=False)
class _Worker:
    number: int
    process: ForkServerProcess
    writer: StreamWriter | None = None
    answers: int = 0
    frozen: bool = False
    killed: bool = False


class Storm:
    """One run; call `run` once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._random = Random(settings.seed)
        self._queue = EventQueue(self._random)
        self._workers: dict[int, _Worker] = {}
        self._conversations: set[asyncio.Task[None]] = set()
        self._started = 0
        self._crashes = 0
        self._address = self._ledger = ""
        self._report = Report(
            memory=settings.memory.partition(":")[0], workflows=settings.workflows
        )
        inits = [init_of(number) for number in range(settings.workflows)]
        self._answers = Answers(
            {event.subject: number for number, event in enumerate(inits)}, self._report
        )
        portions = settings.portions
        self._portions = [inits[start::portions] for start in range(portions)]
        self._start_portion()
        self._over = asyncio.Event()
        self._context = get_context("forkserver")
        # A worker starts quickly when forked from a process that has imported everything.
        self._context.set_forkserver_preload(["storm._worker"])

    async def run(self) -> Report:
        """Run all workflows to their end, and return the report."""
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="storm-") as folder:
            self._address, self._ledger = f"{folder}/queue", f"{folder}/ledger"
            Ledger(Path(self._ledger)).close()  # so that the file exists
            server = await asyncio.start_unix_server(self._serve, self._address, limit=LINE_LIMIT)
            tasks = [asyncio.create_task(self._strike()), asyncio.create_task(self._show())]
            try:
                for _ in range(self._settings.workers):
                    self._start_worker()
                async with asyncio.timeout(self._settings.timeout.total_seconds()):
                    await self._over.wait()
            except TimeoutError:
                self._report.problems.append(f"not over within {self._settings.timeout}")
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                server.close()
                self._end_workers()
                await asyncio.gather(*self._conversations, return_exceptions=True)
            sums, booked_again = read_ledger(Path(self._ledger))
        self._answers.close(sums=sums, booked_again=booked_again)
        self._report.redelivered = self._queue.redelivered
        self._report.seconds = time.monotonic() - started
        return self._report

    def _start_worker(self) -> None:
        self._started += 1
        settings = WorkerSettings(
            number=self._started,
            address=self._address,
            ledger=self._ledger,
            settings=self._settings,
        )
        process = self._context.Process(target=work, args=(settings,), daemon=True)
        process.start()
        worker = self._workers[settings.number] = _Worker(settings.number, process)
        asyncio.get_running_loop().add_reader(process.sentinel, self._ended, worker)

    def _ended(self, worker: _Worker) -> None:
        """Replace a worker that has ended, and deliver its events again."""
        asyncio.get_running_loop().remove_reader(worker.process.sentinel)
        worker.process.join()
        del self._workers[worker.number]
        self._queue.give_up(worker.number)
        if not worker.killed:
            self._crashes += 1
            if self._crashes >= _CRASHES:
                self._report.problems.append(f"{self._crashes} workers ended by themselves")
                self._over.set()
        if not self._over.is_set():
            self._start_worker()
            self._deliver()

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Talk with one worker until it ends. A line that a kill cut short is ignored."""
        conversation = asyncio.current_task()
        assert conversation is not None
        self._conversations.add(conversation)
        with suppress(ConnectionError):
            hello = await reader.readline()
            worker = self._workers.get(json.loads(hello)["worker"]) if hello else None
            if worker is not None:
                worker.writer = writer
                self._deliver()
                while (line := await reader.readline()).endswith(b"\n"):
                    worker.answers += 1
                    self._take_answer(json.loads(line))
                worker.writer = None
        writer.close()
        self._conversations.discard(conversation)

    def _take_answer(self, answer: dict[str, Any]) -> None:
        delivery: int = answer["delivery"]
        if "error" not in answer:
            self._report.handled += 1
            for text in answer["events"]:
                self._publish(ArvoEvent.from_json(text))
            self._queue.acknowledge(delivery)
        elif answer["retryable"]:
            self._report.contended += 1
            event = self._queue.set_aside(delivery)
            if event is not None:
                asyncio.get_running_loop().call_later(
                    self._random.uniform(0.005, 0.05), self._put_back, event
                )
        else:
            self._report.problems.append(answer["error"])
            self._queue.acknowledge(delivery)
        self._deliver()
        if self._queue.empty and not self._portions:
            self._over.set()

    def _start_portion(self) -> None:
        if self._portions:
            for event in self._portions.pop():
                self._queue.put(event)

    def _publish(self, event: ArvoEvent) -> None:
        if event.to == CLIENT:
            self._answers.take(event)
        else:
            self._queue.put(event)

    def _put_back(self, event: ArvoEvent) -> None:
        self._queue.put_back(event)
        self._deliver()

    def _deliver(self) -> None:
        """Send waiting events to the workers that can take them."""
        ready = [worker for worker in self._workers.values() if not worker.frozen]
        for worker in self._random.sample(ready, len(ready)):
            while worker.writer is not None and self._queue.load_of(worker.number) < _PREFETCH:
                taken = self._queue.take(worker.number)
                if taken is None:
                    return
                delivery, event = taken
                line = json.dumps({"delivery": delivery, "event": event.to_json()})
                worker.writer.write(line.encode() + b"\n")

    async def _strike(self) -> None:
        """Kill a worker at each interval, and after every few kills also freeze one."""
        while True:
            await asyncio.sleep(self._settings.kill_every.total_seconds())
            standing = self._standing()
            freezes = self._report.kills >= 1 + _KILLS_PER_FREEZE * self._report.freezes
            # One must be left to take over the events of a frozen one.
            if len(standing) < (2 if freezes else 1):
                continue
            if freezes:
                self._freeze(standing.pop())
            self._kill(standing.pop())
            self._start_portion()
            self._deliver()

    def _standing(self) -> list[_Worker]:
        """Return in random order the workers that may be killed or frozen.

        While there is work, a worker that has not answered yet is spared, or nothing might ever be
        handled.
        """
        standing = [
            worker
            for worker in self._workers.values()
            if worker.writer is not None and not worker.frozen and not worker.killed
            if worker.answers or self._queue.empty
        ]
        self._random.shuffle(standing)
        return standing

    def _kill(self, worker: _Worker) -> None:
        self._report.kills += 1
        worker.killed = True
        worker.process.kill()

    def _freeze(self, worker: _Worker) -> None:
        """Stop a worker for longer than its leases last; others get its events meanwhile."""
        self._report.freezes += 1
        worker.frozen = True
        os.kill(_pid(worker), signal.SIGSTOP)
        self._queue.give_up(worker.number)
        self._deliver()
        asyncio.get_running_loop().call_later(
            1.5 * self._settings.ttl.total_seconds(), self._thaw, worker
        )

    def _thaw(self, worker: _Worker) -> None:
        """Let a worker continue, with leases that have expired."""
        worker.frozen = False
        with suppress(ProcessLookupError):
            os.kill(_pid(worker), signal.SIGCONT)
        self._deliver()

    async def _show(self) -> None:
        if not sys.stderr.isatty():
            return
        while True:
            await asyncio.sleep(0.2)
            done, all_of_them = self._report.completions, self._settings.workflows
            line = f"storm: {done} of {all_of_them} complete, {self._report.kills} kills"
            print(f"\r{line}", end="", file=sys.stderr, flush=True)  # noqa: T201

    def _end_workers(self) -> None:
        loop = asyncio.get_running_loop()
        for worker in self._workers.values():
            loop.remove_reader(worker.process.sentinel)
            worker.process.kill()
            worker.process.join()
        if sys.stderr.isatty():
            print(file=sys.stderr)  # noqa: T201


def _pid(worker: _Worker) -> int:
    pid = worker.process.pid
    assert pid is not None
    return pid
