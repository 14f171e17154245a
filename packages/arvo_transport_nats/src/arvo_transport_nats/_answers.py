"""Answers, kept for those who ask from outside: a bucket that forgets them after a while."""

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Final

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext, errors as js_errors
from nats.js.kv import KeyValue
from typing_extensions import override

from arvo_core import ArvoEvent
from arvo_time import Clock
from arvo_transport import IAnswerBox, TransportClosedError, TransportError

from ._failure import DRIVER_ERRORS, is_there_already, transport_error
from ._messages import read, written
from ._names import Names, token

_LONGEST_ID: Final = 120
_LOOKS: Final = tuple(timedelta(milliseconds=each) for each in (0, 2, 10, 50, 500))
_SWEEP: Final = timedelta(seconds=5)


class Answers:
    """The answers of a namespace. The first one to a request stays, a failure gives way.

    Args:
        client: The connection.
        js: JetStream.
        names: What is called how.
        kept: How long an answer stays.
        clock: What waits between looks.
        replicas: How many servers keep them.
    """

    def __init__(
        self,
        client: Client,
        js: JetStreamContext,
        *,
        names: Names,
        kept: timedelta,
        clock: Clock,
        replicas: int,
    ) -> None:
        self._client = client
        self._js = js
        self._names = names
        self._kept = kept
        self._clock = clock
        self._replicas = replicas
        self._bucket: KeyValue | None = None

    async def put(self, event: ArvoEvent, *, address: str, request: str) -> None:
        """Keep an answer, unless there is one that stays.

        Raises:
            TransportError: The server failed.
        """
        key = _key(address, request)
        try:
            bucket = await self._open()
            while not await self._put(bucket, key, event):
                pass
        except DRIVER_ERRORS as error:
            raise transport_error(error, doing=f"keep an answer for {address!r}") from error

    async def get(self, address: str, request: str) -> ArvoEvent | None:
        """Return an answer, or None while there is none.

        Raises:
            TransportError: The server failed.
        """
        try:
            bucket = await self._open()
            entry = await bucket.get(_key(address, request))
        except js_errors.NotFoundError:
            return None
        except DRIVER_ERRORS as error:
            raise transport_error(error, doing=f"look for an answer to {address!r}") from error
        return read(entry.value or b"")

    @asynccontextmanager
    async def box(self, address: str) -> AsyncIterator["AnswerBox"]:
        """Return the box of an address, which listens for as long as the block lasts."""
        box = AnswerBox(self, address=address, clock=self._clock)
        place = f"$KV.{self._names.answers}.{token(address)}.*"
        try:
            await self._open()
            bell = await self._client.subscribe(place, cb=box.ring)
            await self._js.account_info()  # by then the server knows
        except DRIVER_ERRORS as error:
            raise transport_error(error, doing=f"listen for answers to {address!r}") from error
        sweep = asyncio.ensure_future(box.sweep())
        try:
            yield box
        finally:
            sweep.cancel()
            await box.close()
            await asyncio.gather(sweep, return_exceptions=True)
            if not self._client.is_closed:
                await bell.unsubscribe()

    async def _put(self, bucket: KeyValue, key: str, event: ArvoEvent) -> bool:
        """Return whether the box has this answer or one that stays; False to look again."""
        try:
            await bucket.create(key, written(event))
        except js_errors.KeyWrongLastSequenceError:
            pass
        else:
            return True
        try:
            first = await bucket.get(key)
        except js_errors.NotFoundError:  # it was forgotten meanwhile
            return False
        if not _is_failure(read(first.value or b"")) or _is_failure(event):
            return True
        try:
            await bucket.update(key, written(event), last=first.revision)
        except js_errors.KeyWrongLastSequenceError:
            return False
        return True

    async def _open(self) -> KeyValue:
        if self._bucket is None:
            name = self._names.answers
            try:
                self._bucket = await self._js.create_key_value(
                    bucket=name, ttl=self._kept.total_seconds(), replicas=self._replicas
                )
            except js_errors.APIError as error:
                if not is_there_already(error):
                    raise
                self._bucket = await self._js.key_value(name)
        return self._bucket


class AnswerBox(IAnswerBox):
    """The answers to the requests that were sent from one address.

    It listens to what is published to the bucket. The server may refuse that, so it then looks; and
    it looks for all that it waits for every few seconds, as after a reconnect.

    Args:
        answers: All answers.
        address: The address.
        clock: What waits between looks.
    """

    def __init__(self, answers: Answers, *, address: str, clock: Clock) -> None:
        self._answers = answers
        self._address = address
        self._clock = clock
        self._waiting: defaultdict[str, set[asyncio.Future[ArvoEvent]]] = defaultdict(set)
        self._requests: dict[str, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    @override
    async def get(self, request: str) -> ArvoEvent | None:
        self._check_open()
        return await self._answers.get(self._address, request)

    @override
    async def wait(self, request: str) -> ArvoEvent:
        self._check_open()
        answer: asyncio.Future[ArvoEvent] = asyncio.get_running_loop().create_future()
        self._waiting[request].add(answer)
        self._requests[_request_token(request)] = request
        try:
            found = await self._answers.get(self._address, request)
            return await answer if found is None else found
        finally:
            answer.cancel()
            self._waiting[request].discard(answer)
            if not self._waiting[request]:
                del self._waiting[request]
                self._requests.pop(_request_token(request), None)

    async def ring(self, bell: Msg) -> None:
        """Look for the answer that somebody has published."""
        request = self._requests.get(bell.subject.rpartition(".")[2])
        if request is not None:
            self._start(self._look(request))

    async def sweep(self) -> None:
        """Look for all that is waited for, from time to time."""
        while True:
            await self._clock.sleep(_SWEEP)
            for request in list(self._waiting):
                await self._look_once(request)

    async def close(self) -> None:
        """End those that wait."""
        self._closed = True
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for answers in self._waiting.values():
            for answer in answers:
                if not answer.done():
                    answer.set_exception(TransportClosedError("the answer box"))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _look(self, request: str) -> None:
        for pause in _LOOKS:
            await self._clock.sleep(pause)
            if await self._look_once(request):
                return

    async def _look_once(self, request: str) -> bool:
        """Return whether nobody waits for an answer any more."""
        try:
            found = await self._answers.get(self._address, request)
        except TransportError:
            return False  # the next look may succeed
        if found is not None:
            for answer in self._waiting.get(request, ()):
                if not answer.done():
                    answer.set_result(found)
        return found is not None

    def _check_open(self) -> None:
        if self._closed:
            raise TransportClosedError("the answer box")


def _key(address: str, request: str) -> str:
    return f"{token(address)}.{_request_token(request)}"


def _request_token(request: str) -> str:
    written_out = token(request)
    if 0 < len(written_out) <= _LONGEST_ID:
        return written_out
    return f"_h{hashlib.sha256(request.encode()).hexdigest()}"


def _is_failure(event: ArvoEvent) -> bool:
    return event.type.startswith("sys.") and event.type.endswith(".error")
