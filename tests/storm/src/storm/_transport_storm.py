"""The storm over a transport: no queue of its own, an engine that is never killed."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Final

from arvo_transport import Done, IEventTransport, TopicSpec, connect_transport

from ._contracts import CLIENT
from ._ledger import Ledger, read_ledger
from ._memory_url import module_of
from ._report import Answers, Report
from ._settings import Settings, WorkerSettings
from ._transport_worker import HANDLED_AGAIN, work_over_transport
from ._workers import Worker, Workers
from ._workloads import workload_of

_INBOX: Final = TopicSpec(CLIENT)
_LOOK: Final = 0.1  # seconds between two looks at what is left


class TransportStorm:
    """One run; call `run` once. It publishes the first events, and takes the completions."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._url = settings.transport or ""
        self._report = Report(
            memory=f"{settings.memory.partition(':')[0]} and {self._url.partition(':')[0]} between",
            workflows=settings.workflows,
        )
        workload = workload_of(settings)
        self._asked = [
            TopicSpec(source, order="subject", owner=False) for source in workload.sources
        ]
        inits = [workload.init_of(number) for number in range(settings.workflows)]
        self._answers = Answers(
            {event.subject: number for number, event in enumerate(inits)}, self._report, workload
        )
        portions = settings.portions
        self._portions = [inits[start::portions] for start in range(portions)]
        self._published = 0
        self._complete = asyncio.Event()
        self._over = asyncio.Event()
        self._workers = Workers(
            start=self._start_worker,
            ended=self._hang_up,
            frozen=lambda _: None,  # the engine misses it by itself
            thawed=lambda _: None,
            give_up=self._fail,
            frozen_for=1.5 * settings.ttl,
            report=self._report,
            random=Random(settings.seed),
        )
        self._ledger = ""
        self._context = get_context("forkserver")
        # A worker starts quickly when forked from a process that has imported everything.
        self._context.set_forkserver_preload(
            [
                "storm._transport_worker",
                module_of(settings.memory),
                "arvo_transport_redis",
                "arvo_transport_nats",
            ]
        )

    async def run(self) -> Report:
        """Run all workflows to their end, and return the report."""
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="storm-") as folder:
            self._ledger = f"{folder}/ledger"
            Ledger(Path(self._ledger)).close()  # so that the file exists
            async with connect_transport(self._url) as transport:
                await transport.declare([_INBOX, *self._asked])
                await self._storm(transport)
                await self._check_left(transport)
            sums, booked_again = read_ledger(Path(self._ledger))
        self._answers.close(sums=sums, booked_again=booked_again)
        self._report.seconds = time.monotonic() - started
        return self._report

    async def _storm(self, transport: IEventTransport) -> None:
        await self._publish_portion(transport)
        tasks = [
            asyncio.create_task(self._strike(transport)),
            asyncio.create_task(self._collect(transport)),
            asyncio.create_task(self._watch(transport)),
        ]
        for task in tasks:
            task.add_done_callback(self._task_ended)
        try:
            for _ in range(self._settings.workers):
                self._workers.start()
            async with asyncio.timeout(self._settings.timeout.total_seconds()):
                await self._over.wait()
        except TimeoutError:
            self._report.problems.append(f"not over within {self._settings.timeout}")
        finally:
            self._workers.end()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _publish_portion(self, transport: IEventTransport) -> None:
        if self._portions:
            events = self._portions.pop()
            await transport.publish(events)
            self._published += len(events)

    def _start_worker(self, number: int) -> Worker:
        ours, theirs = self._context.Pipe(duplex=False)
        settings = WorkerSettings(
            number=number, address="", ledger=self._ledger, settings=self._settings
        )
        process = self._context.Process(
            target=work_over_transport, args=(settings, theirs), daemon=True
        )
        process.start()
        theirs.close()
        worker = Worker(number, process, channel=ours)
        asyncio.get_running_loop().add_reader(ours.fileno(), self._listen, worker)
        return worker

    def _listen(self, worker: Worker) -> None:
        try:
            while worker.channel.poll():
                again = worker.channel.recv_bytes() == HANDLED_AGAIN
                self._report.redelivered += again
                worker.handled += 1
                self._report.handled += 1
        except (EOFError, OSError):  # killed, perhaps in the middle of a report
            asyncio.get_running_loop().remove_reader(worker.channel.fileno())

    def _hang_up(self, worker: Worker) -> None:
        asyncio.get_running_loop().remove_reader(worker.channel.fileno())
        worker.channel.close()

    def _fail(self, problem: str) -> None:
        self._report.problems.append(problem)
        self._over.set()

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(f"the storm itself failed: {error!r}")

    async def _strike(self, transport: IEventTransport) -> None:
        while True:
            await asyncio.sleep(self._settings.kill_every.total_seconds())
            waiting = self._report.completions < self._published
            if self._workers.strike(spare_new=waiting):
                await self._publish_portion(transport)

    async def _collect(self, transport: IEventTransport) -> None:
        async with transport.inbox(_INBOX, prefetch=64) as inbox:
            while True:
                for received in await inbox.receive(64):
                    self._answers.take(received.event)
                    await inbox.settle(received, Done())
                if self._report.completions == self._report.workflows:
                    self._complete.set()

    async def _watch(self, transport: IEventTransport) -> None:
        """Wait until everything is complete, and nothing is left on its way."""
        await self._complete.wait()
        while True:
            await asyncio.sleep(_LOOK)
            if not [left async for left in _left(transport)]:
                self._over.set()
                return

    async def _check_left(self, transport: IEventTransport) -> None:
        self._report.problems += [f"left: {left}" async for left in _left(transport)]
        letters = await transport.dead_letters()
        self._report.problems += [
            f"dead letter: {letter.reason}: {letter.error.name}: {letter.error.message[:200]}"
            for letter in letters[:5]
        ]
        self._report.problems += [f"{len(letters)} dead letters"] if letters else []


async def _left(transport: IEventTransport) -> AsyncIterator[str]:
    """Yield what each topic still has to do."""
    for topic in await transport.topics():
        depth = await transport.depth(topic.name)
        if depth.waiting or depth.in_hand or depth.delayed:
            yield f"{topic.name} {depth.waiting} waiting, {depth.in_hand} in hand"
