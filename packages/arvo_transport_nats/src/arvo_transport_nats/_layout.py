"""The streams of topics, and the consumers that hand their events out."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Final

from nats.js import JetStreamContext, api, errors as js_errors

from ._failure import DRIVER_ERRORS, is_there_already, transport_error
from ._names import DELAYED, Names
from ._registry import Topic

_AT_A_TIME: Final = 64
_PAGE: Final = 256
DUPLICATES_DROPPED_FOR: Final = timedelta(minutes=2)


def partition_consumer(partition: int) -> str:
    """Return the consumer of a partition."""
    return f"p{partition}"


async def consumers_of(js: JetStreamContext, stream: str) -> list[api.ConsumerInfo]:
    """Return what the server says of all consumers of a stream."""
    infos: list[api.ConsumerInfo] = []
    while True:
        page = await js.consumers_info(stream, offset=len(infos))
        infos.extend(page)
        if len(page) < _PAGE:
            return infos


class Layout:
    """Makes streams and consumers exist. Idempotent, and safe from many processes at once.

    Args:
        js: JetStream.
        names: What is called how.
        patience: How long an event stays in hand without a word from its worker.
        replicas: How many servers keep each stream.
    """

    def __init__(
        self, js: JetStreamContext, *, names: Names, patience: timedelta, replicas: int
    ) -> None:
        self._js = js
        self._names = names
        self._patience = patience
        self._replicas = replicas

    @property
    def patience(self) -> timedelta:
        """What a topic has that is laid out here first."""
        return self._patience

    def stream_of(self, topic: Topic) -> str:
        """Return the stream of a topic."""
        return self._names.stream(topic.name, generation=topic.generation)

    async def ensure(self, topic: Topic) -> timedelta:
        """Make the stream and the consumers of a topic exist.

        What exists keeps its settings, which others rely on.

        Returns:
            How long an event stays in hand without a word from its worker.

        Raises:
            TransportError: The server failed, or refused.
        """
        stream = self.stream_of(topic)
        filters = self._filters(topic)
        try:
            await self.ensure_stream(
                stream, subjects=list(filters.values()), retention=api.RetentionPolicy.WORK_QUEUE
            )
            there = await consumers_of(self._js, stream)
            consumers = list(filters.keys() - {each.name for each in there})
            for first in range(0, len(consumers), _AT_A_TIME):
                await asyncio.gather(
                    *(
                        self._add_consumer(
                            stream,
                            consumer=consumer,
                            subject=filters[consumer],
                            ordered=topic.order != "none",
                        )
                        for consumer in consumers[first : first + _AT_A_TIME]
                    )
                )
        except DRIVER_ERRORS as error:
            raise transport_error(error, doing=f"lay out the topic {topic.name!r}") from error
        waits = [each.config.ack_wait for each in there if each.config.ack_wait]
        return timedelta(seconds=min(waits)) if waits else self._patience

    async def close(self, topic: Topic) -> None:
        """Let a topic hand out nothing more, whoever asks; its events stay.

        Raises:
            TransportError: The server failed.
        """
        stream = self.stream_of(topic)
        try:
            consumers = await consumers_of(self._js, stream)
            await asyncio.gather(*(self._remove_consumer(stream, each.name) for each in consumers))
        except DRIVER_ERRORS as error:
            raise transport_error(error, doing=f"close the topic {topic.name!r}") from error

    async def filled(self, topic: Topic) -> set[str]:
        """Return the consumers of an ordered topic whose partitions have events, in hand or not."""
        try:
            info = await self._js.stream_info(
                self.stream_of(topic), subjects_filter=self._names.subject(topic.name, "*")
            )
        except DRIVER_ERRORS as error:
            raise transport_error(error, doing=f"look into the topic {topic.name!r}") from error
        subjects = info.state.subjects or {}
        return {
            consumer for consumer, subject in self._filters(topic).items() if subject in subjects
        }

    async def ensure_stream(
        self,
        stream: str,
        *,
        subjects: list[str],
        retention: api.RetentionPolicy,
        kept: timedelta = timedelta(0),
        per_subject: int = -1,
    ) -> None:
        """Make a stream exist.

        Args:
            stream: Its name.
            subjects: What it stores.
            retention: When it forgets a message.
            kept: How long it keeps a message at most; zero for no limit.
            per_subject: How many of a subject it keeps, the last ones; -1 for no limit.
        """
        try:
            await self._js.add_stream(
                name=stream,
                subjects=subjects,
                retention=retention,
                storage=api.StorageType.FILE,
                num_replicas=self._replicas,
                max_age=kept.total_seconds(),
                max_msgs_per_subject=per_subject,
                duplicate_window=DUPLICATES_DROPPED_FOR.total_seconds(),
                allow_direct=True,
            )
        except js_errors.APIError as error:
            # It was made with other settings, such as replicas; whoever did that knows why.
            if not (is_there_already(error) and await self._exists(stream)):
                raise

    async def _exists(self, stream: str) -> bool:
        try:
            await self._js.stream_info(stream)
        except js_errors.NotFoundError:
            return False
        return True

    def _filters(self, topic: Topic) -> dict[str, str]:
        """Return the subject of each consumer of a topic."""
        parts = {
            partition_consumer(part): self._names.subject(topic.name, part)
            for part in range(topic.partitions)
        }
        if topic.order == "none":
            parts[DELAYED] = self._names.subject(topic.name, DELAYED)
        return parts

    async def _remove_consumer(self, stream: str, consumer: str) -> None:
        with suppress(js_errors.NotFoundError):
            await self._js.delete_consumer(stream, consumer)

    async def _add_consumer(
        self, stream: str, *, consumer: str, subject: str, ordered: bool
    ) -> None:
        await self._js.add_consumer(
            stream,
            durable_name=consumer,
            filter_subject=subject,
            ack_policy=api.AckPolicy.EXPLICIT,
            ack_wait=self._patience.total_seconds(),
            max_ack_pending=1 if ordered else -1,
            max_deliver=-1,  # beyond a limit the server would say nothing, and keep the event
            max_waiting=_MAX_WAITING,
        )


_MAX_WAITING: Final = 10_000
"""Pulls that wait at a consumer: one of each worker, and those of workers that died."""
