"""The storm: one queue and many workers, of which random ones are killed or frozen."""

import asyncio
import json
import sys
import tempfile
import time
from asyncio import StreamReader, StreamWriter
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Any, Final

from arvo_core import ArvoEvent
from arvo_event_handler.memory import ITimedMachineMemory, IWorkflowQueries, LockPolicy

from ._contracts import CLIENT
from ._ledger import Ledger, read_ledger
from ._lister import Lister
from ._memory_url import module_of, open_memory
from ._queue import EventQueue
from ._report import Answers, Report
from ._settings import Settings, WorkerSettings
from ._worker import LINE_LIMIT, work
from ._workers import Worker, Workers
from ._workloads import workload_of

_PREFETCH: Final = 4


class Storm:
    """One run; call `run` once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._random = Random(settings.seed)
        self._queue = EventQueue(self._random)
        self._conversations: set[asyncio.Task[None]] = set()
        self._workflows: set[str] = set()  # whose first commit was confirmed, by subject
        self._address = self._ledger = ""
        self._report = Report(
            memory=settings.memory.partition(":")[0], workflows=settings.workflows
        )
        self._workload = workload_of(settings)
        inits = [self._workload.init_of(number) for number in range(settings.workflows)]
        self._answers = Answers(
            {event.subject: number for number, event in enumerate(inits)},
            self._report,
            self._workload,
        )
        portions = settings.portions
        self._portions = [inits[start::portions] for start in range(portions)]
        self._start_portion()
        self._over = asyncio.Event()
        self._workers = Workers(
            start=self._start_worker,
            ended=self._give_up,
            frozen=self._give_up,
            thawed=lambda _: self._deliver(),
            give_up=self._fail,
            frozen_for=1.5 * settings.ttl,
            report=self._report,
            random=self._random,
        )
        self._context = get_context("forkserver")
        # A worker starts quickly when forked from a process that has imported everything.
        self._context.set_forkserver_preload(["storm._worker", module_of(settings.memory)])

    async def run(self) -> Report:
        """Run all workflows to their end, and return the report."""
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="storm-") as folder:
            self._address, self._ledger = f"{folder}/queue", f"{folder}/ledger"
            Ledger(Path(self._ledger)).close()  # so that the file exists
            server = await asyncio.start_unix_server(self._serve, self._address, limit=LINE_LIMIT)
            beside = (self._strike(), self._show(), self._list())
            tasks = [asyncio.create_task(each) for each in beside]
            try:
                for _ in range(self._settings.workers):
                    self._workers.start()
                async with asyncio.timeout(self._settings.timeout.total_seconds()):
                    await self._over.wait()
            except TimeoutError:
                self._report.problems.append(f"not over within {self._settings.timeout}")
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                server.close()
                self._workers.end()
                if sys.stderr.isatty():
                    print(file=sys.stderr)  # noqa: T201
                await asyncio.gather(*self._conversations, return_exceptions=True)
            sums, booked_again = read_ledger(Path(self._ledger))
            await self._check_left()
        self._answers.close(sums=sums, booked_again=booked_again)
        self._report.redelivered = self._queue.redelivered
        self._report.seconds = time.monotonic() - started
        return self._report

    def _start_worker(self, number: int) -> Worker:
        settings = WorkerSettings(
            number=number,
            address=self._address,
            ledger=self._ledger,
            settings=self._settings,
        )
        process = self._context.Process(target=work, args=(settings,), daemon=True)
        process.start()
        return Worker(number, process)

    def _give_up(self, worker: Worker) -> None:
        """Deliver the events of a worker again, which has ended or been stopped."""
        self._queue.give_up(worker.number)
        self._deliver()

    def _fail(self, problem: str) -> None:
        self._report.problems.append(problem)
        self._over.set()

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Talk with one worker until it ends. A line that a kill cut short is ignored."""
        conversation = asyncio.current_task()
        assert conversation is not None
        self._conversations.add(conversation)
        with suppress(ConnectionError):
            hello = await reader.readline()
            worker = self._workers.get(json.loads(hello)["worker"]) if hello else None
            if worker is not None:
                worker.channel = writer
                self._deliver()
                while (line := await reader.readline()).endswith(b"\n"):
                    message = json.loads(line)
                    if "tick" in message:
                        self._take_tick(message["tick"])
                    else:
                        worker.handled += 1
                        self._take_answer(message)
                worker.channel = None
        writer.close()
        self._conversations.discard(conversation)

    def _take_tick(self, text: str) -> None:
        self._report.ticks += 1
        self._queue.put(ArvoEvent.from_json(text))
        self._deliver()

    def _take_answer(self, answer: dict[str, Any]) -> None:
        delivery: int = answer["delivery"]
        if "error" not in answer:
            self._report.handled += 1
            for text in answer["events"]:
                self._publish(ArvoEvent.from_json(text))
            event = self._queue.acknowledge(delivery)
            if event is not None and event.type in self._workload.sources:
                self._workflows.add(event.subject)
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
        if self._queue.empty and not self._portions and not self._waits():
            self._over.set()

    def _waits(self) -> bool:
        """Return whether timers may be pending."""
        return bool(self._settings.timers) and self._report.completions < self._report.workflows

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
        ready = [worker for worker in self._workers if not worker.frozen]
        for worker in self._random.sample(ready, len(ready)):
            while worker.channel is not None and self._queue.load_of(worker.number) < _PREFETCH:
                taken = self._queue.take(worker.number)
                if taken is None:
                    return
                delivery, event = taken
                line = json.dumps({"delivery": delivery, "event": event.to_json()})
                worker.channel.write(line.encode() + b"\n")

    async def _strike(self) -> None:
        while True:
            await asyncio.sleep(self._settings.kill_every.total_seconds())
            if self._workers.strike(spare_new=not self._queue.empty):
                self._start_portion()
                self._deliver()

    async def _list(self) -> None:
        """List all workflows, where the memory can, until the storm is over."""
        try:
            async with open_memory(self._settings.memory, policy=LockPolicy()) as memory:
                if isinstance(memory, IWorkflowQueries):
                    lister = Lister(memory, self._report, sources=self._workload.sources)
                    await lister.list_until_cancelled(self._workflows)
        except Exception as error:
            self._report.problems.append(f"the lister ended: {error!r}")

    async def _check_left(self) -> None:
        """Report a timer that is still in the memory's index."""
        if not self._settings.timers:
            return
        try:
            async with open_memory(self._settings.memory, policy=LockPolicy()) as memory:
                if isinstance(memory, ITimedMachineMemory) and (at := await memory.next_due()):
                    self._report.problems.append(f"a timer of {at} is left")
        except Exception as error:
            self._report.problems.append(f"cannot look for timers that are left: {error!r}")

    async def _show(self) -> None:
        if not sys.stderr.isatty():
            return
        while True:
            await asyncio.sleep(0.2)
            done, all_of_them = self._report.completions, self._settings.workflows
            line = f"storm: {done} of {all_of_them} complete, {self._report.kills} kills"
            print(f"\r{line}", end="", file=sys.stderr, flush=True)  # noqa: T201
