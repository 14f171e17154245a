"""Transports and events of the tests."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any
from uuid import uuid4

from arvo_core import ArvoEvent
from arvo_transport import IEventInbox, Received, TopicSpec
from arvo_transport_nats import NatsTransport

PAY = TopicSpec("com.svc.pay")
ORDER = TopicSpec("com.svc.order", order="subject")
SHOP = TopicSpec("com.shop.web", kind="answers")


def event(
    number: int,
    *,
    to: TopicSpec = PAY,
    address: str | None = None,
    subject: str = "order-7",
    **more: Any,
) -> ArvoEvent:
    return ArvoEvent.create(
        id=f"event-{number}",
        source="com.shop.web",
        type=to.name,
        to=address or to.name,
        subject=subject,
        **{"data": {"number": number}, **more},
    )


def new_namespace() -> str:
    return f"test-{uuid4().hex[:12]}"


def connect(
    url: str, *, namespace: str, patience: timedelta = timedelta(seconds=30), **more: Any
) -> AbstractAsyncContextManager[NatsTransport]:
    return NatsTransport.connect(
        url, **{"namespace": namespace, "partitions": 8, "patience": patience, **more}
    )


async def receive(inbox: IEventInbox, count: int) -> list[Received]:
    received: list[Received] = []
    while len(received) < count:
        received += await inbox.receive(count - len(received))
    return received


def numbers(received: Sequence[Received]) -> list[int]:
    return [each.event.data["number"] for each in received]
