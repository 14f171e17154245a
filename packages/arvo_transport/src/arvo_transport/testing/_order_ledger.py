"""Workers that handle an ordered topic, and a record of what they did in which order."""

import asyncio
from collections import defaultdict

from arvo_transport import DeliveryLostError, Done, Received, TransportError

from ._scene import Scene, Worker


class OrderLedger:
    """What workers had in hand and handled, which it checks as it is told.

    Args:
        scene: The scene.
    """

    def __init__(self, scene: Scene) -> None:
        self.handled: dict[str, list[int]] = defaultdict(list)
        """By subject, the numbers of the events in the order in which they were settled."""
        self.problems: list[str] = []
        self._scene = scene
        self._holders: dict[str, Worker] = {}
        self._in_hand: dict[str, int] = defaultdict(int)
        self._dead: set[Worker] = set()
        self._settling: list[tuple[Worker, Received]] = []
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def count(self) -> int:
        """How many different events were handled."""
        return sum(len(set(numbers)) for numbers in self.handled.values())

    def start(self, worker: Worker) -> None:
        """Let a worker handle events until it is stopped or killed."""
        self._tasks.append(self._scene.start(self._work(worker)))

    async def kill(self, worker: Worker) -> None:
        """End a worker as the end of its process would."""
        self._dead.add(worker)
        for holder, received in self._settling:
            if holder is worker:  # the engine may have it, or hands it out once more
                self._count(received)
        for subject, holder in [*self._holders.items()]:
            if holder is worker:
                self._forget(subject)
        await worker.kill()

    async def stop(self, *workers: Worker) -> None:
        """Stop workers, and wait until all that were started have ended."""
        for worker in workers:
            await worker.inbox.stop()
        await self._scene.ends(asyncio.gather(*self._tasks), what="workers that were stopped")

    async def until(self, count: int) -> None:
        """Let time pass until that many events were handled."""
        await self._scene.until(lambda: self.count >= count, what=f"{count} events handled")

    def check(self, subjects: dict[str, list[int]]) -> None:
        """Fail unless all was handled in order, by one worker at a time."""
        assert not self.problems, "; ".join(self.problems[:5])
        firsts = {name: [*dict.fromkeys(numbers)] for name, numbers in self.handled.items()}
        assert firsts == subjects

    async def _work(self, worker: Worker) -> None:
        try:
            while held := await worker.inbox.receive(3):
                if worker in self._dead:  # what came while it was killed reached nobody
                    return
                for received in held:
                    self._begin(worker, received)
                for received in held:
                    await asyncio.sleep(0)
                    if worker in self._dead:
                        return
                    await self._settle(worker, received)
        except TransportError:  # also of a call that was under way
            if worker not in self._dead:
                raise

    async def _settle(self, worker: Worker, received: Received) -> None:
        subject = received.event.subject
        overtaken = self._holders.get(subject) is not worker
        settling = worker, received
        self._settling.append(settling)
        try:
            await worker.inbox.settle(received, Done())
        except DeliveryLostError:
            self._release(worker, subject)
            return
        finally:
            self._settling.remove(settling)
        if worker in self._dead:
            return
        if overtaken:
            self.problems.append(f"{subject} was settled by one worker with another at it")
        self._count(received)
        self._release(worker, subject)

    def _count(self, received: Received) -> None:
        self.handled[received.event.subject].append(received.event.data["number"])

    def _begin(self, worker: Worker, received: Received) -> None:
        subject = received.event.subject
        if self._holders.get(subject) is not worker:
            # Another one may have it still: a worker that was too slow. Its settlements are refused.
            self._forget(subject)
            self._holders[subject] = worker
        self._in_hand[subject] += 1

    def _release(self, worker: Worker, subject: str) -> None:
        if self._holders.get(subject) is worker:
            self._in_hand[subject] -= 1
            if not self._in_hand[subject]:
                self._forget(subject)

    def _forget(self, subject: str) -> None:
        self._holders.pop(subject, None)
        self._in_hand.pop(subject, None)
