"""Scenarios of a broker: its stub handlers, the published events, and their effects."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from arvo_concurrent import ConcurrentEventBroker
from arvo_core import ArvoEvent
from arvo_event_handler import ConfigViolation, ResolveError
from arvo_event_handler.delivery import (
    BrokerStats,
    ErrorListener,
    ErrorResponse,
    FailedTry,
    HandlerConfig,
    HandlerDefaults,
    Middleware,
    Publish,
)
from arvo_time import Backoff, RetryPolicy
from arvo_time.testing import FakeClock

from .observed_clock import ObservedClock
from .stub_handler import StubHandler
from .tagged_middleware import middleware

Given = Mapping[str, Any]

_PREFETCH = 1
_RETRY: Given = {"maxRetries": 3, "initialDelayMs": 100, "backoffExponent": 1.5}
_UNCAPPED = timedelta(days=1)
_EVENT: Given = {"source": "com.app.main", "type": "com.svc.one", "subject": "s", "data": {}}
_ERROR: Given = {"kind": "Error"}
_SCENARIO_MESSAGE = re.compile(r"fail \d+|mw boom|dom")
_MILLISECOND = timedelta(milliseconds=1)
# The shortest delay: it ends when everything else waits for time to pass.
_MOMENT = timedelta.resolution


class BrokerScenario:
    """One run of one case, on a clock of its own.

    Args:
        given: The case's input.
    """

    def __init__(self, given: Given) -> None:
        self._given = given
        self._clock = FakeClock()
        self._observed = ObservedClock(self._clock)
        self._log: list[str] = []
        self._errors: list[Given] = []
        self._domained: list[Given] = []
        self._handlers = [
            StubHandler(description, log=self._log, clock=self._clock)
            for description in given["handlers"]
        ]

    async def run(self) -> dict[str, Any]:
        """Play the scenario, and return what a vector shows of it."""
        return await self._clock.run_until_complete(self._play())

    async def _play(self) -> dict[str, Any]:
        async with self._broker() as broker:
            seen = await self._publish(broker)
            seen["idle"] = await self._becomes_idle(broker)
            await self._clock.sleep(self._milliseconds("settleMs") or _MOMENT)
            seen["topics"] = list(broker.stats.topics)
            seen["finalStats"] = _shown(broker.stats)
        if not self._given.get("realTime"):
            # The vectors have the delays only where time is not real.
            seen["retryDelays"] = [delay / _MILLISECOND for delay in self._observed.delays]
        return seen | {
            "log": self._log,
            "brokerErrors": self._errors,
            "domained": self._domained,
            "maxConcurrent": {
                handler.source: handler.most_at_once
                for handler in self._handlers
                if handler.most_at_once
            },
        }

    async def _publish(self, broker: ConcurrentEventBroker) -> dict[str, Any]:
        seen: dict[str, Any] = {}
        if self._given.get("subscribeDup"):
            seen["dup"] = self._subscribe_again(broker)
        for members in self._given.get("publish", ()):
            await broker.publish(_event(members))
        if self._given.get("statsAfterPublish"):
            await self._clock.sleep(_MOMENT)
            seen["stats"] = _shown(broker.stats)
        if "resolve" in self._given:
            answers = (self._resolved(broker, members) for members in self._given["resolve"])
            seen["resolved"] = await asyncio.gather(*answers)
        return seen

    def _subscribe_again(self, broker: ConcurrentEventBroker) -> Given | None:
        try:
            broker.subscribe(self._handlers[0])
        except ConfigViolation:
            return _ERROR
        return None

    async def _resolved(self, broker: ConcurrentEventBroker, members: Given) -> Given:
        try:
            answer = await broker.resolve(_event(members), timeout=self._milliseconds("timeoutMs"))
        except (ConfigViolation, ResolveError, TimeoutError):
            return {"error": _ERROR}
        if answer is None:
            return {"ok": None}
        shown = answer.to_dict()
        return {"ok": {name: shown[name] for name in ("id", "type", "source", "to", "data")}}

    async def _becomes_idle(self, broker: ConcurrentEventBroker) -> Given | bool:
        try:
            await broker.wait_idle(timeout=self._milliseconds("timeoutMs"))
        except TimeoutError:
            return _ERROR
        return True

    def _milliseconds(self, name: str) -> timedelta | None:
        return self._given[name] * _MILLISECOND if name in self._given else None

    # --- the broker ---------------------------------------------------------

    def _broker(self) -> ConcurrentEventBroker:
        defaults = self._given.get("defaultHandlerConfig", {})
        return ConcurrentEventBroker(
            [
                self._config(handler, description)
                for handler, description in zip(
                    self._handlers, self._given["handlers"], strict=True
                )
            ],
            defaults=HandlerDefaults(
                prefetch=defaults.get("prefetch", _PREFETCH),
                retry=_retry_policy(defaults.get("retry", {})),
                middleware=self._middleware(defaults, owner="default") or Middleware(),
            ),
            on_broker_error=self._on_broker_error,
            on_domained_event=self._on_domained_event,
            clock=self._observed,
        )

    def _config(self, handler: StubHandler, description: Given) -> HandlerConfig:
        return HandlerConfig(
            handler,
            prefetch=description.get("prefetch"),
            retry=_retry_policy(description["retry"]) if "retry" in description else None,
            middleware=self._middleware(description, owner=handler.source),
            on_error=self._on_error(description),
        )

    def _middleware(self, description: Given, *, owner: str) -> Middleware | None:
        if "middleware" not in description:
            return None
        return middleware(description["middleware"], owner=owner, log=self._log)

    def _on_error(self, description: Given) -> ErrorListener | None:
        responses: str | Sequence[str] | None = description.get("onError")
        if responses is None:
            return None

        def on_error(failed: FailedTry) -> ErrorResponse:
            attempt = failed.attempts - 1
            self._log.append(
                f"onError {failed.handler} attempt={attempt} "
                f"maxRetries={failed.retries} {failed.error}"
            )
            return ErrorResponse(responses if isinstance(responses, str) else responses[attempt])

        async def asynchronous_on_error(failed: FailedTry) -> ErrorResponse:
            return on_error(failed)

        return asynchronous_on_error if description.get("asyncOnError") else on_error

    async def _on_broker_error(self, event: ArvoEvent, error: Exception) -> None:
        self._errors.append({"message": str(error), "event": event.id})

    async def _on_domained_event(self, event: ArvoEvent, publish: Publish) -> None:
        self._domained.append({"domain": event.domain, "event": event.id})
        if self._given.get("domainAction") == "throw":
            raise RuntimeError("dom")


def comparable(shown: Given) -> dict[str, Any]:
    """Leave out the library's own error messages, as our wording differs."""
    errors = [
        error if _SCENARIO_MESSAGE.fullmatch(error["message"]) else {**error, "message": None}
        for error in shown["brokerErrors"]
    ]
    return {**shown, "brokerErrors": errors}


def _event(members: Given) -> ArvoEvent:
    return ArvoEvent.create(**{**_EVENT, **members})


def _retry_policy(description: Given) -> RetryPolicy:
    settings = {**_RETRY, **description}
    return RetryPolicy(
        retries=settings["maxRetries"],
        backoff=Backoff(
            initial=settings["initialDelayMs"] * _MILLISECOND,
            maximum=_UNCAPPED,
            factor=settings["backoffExponent"],
            jitter=False,
        ),
    )


def _shown(stats: BrokerStats) -> list[Given]:
    """Show the numbers as the original does, where an event between two tries holds a slot."""
    return [
        {
            "topic": name,
            "prefetch": topic.prefetch,
            "pending": topic.running + topic.sleeping,
            "size": topic.queued,
            "inFlight": topic.running + topic.sleeping + topic.queued,
        }
        for name, topic in stats.topics.items()
    ]
