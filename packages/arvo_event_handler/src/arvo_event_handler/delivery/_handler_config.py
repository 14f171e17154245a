"""How a broker runs a handler."""

from dataclasses import KW_ONLY, dataclass, field
from datetime import timedelta
from typing import get_args

from arvo_event_handler._handler import (
    IArvoEventHandler,
    check_handler,
    own_retry_policy,
)
from arvo_time import RetryPolicy
from arvo_time.settings import (
    check_callable,
    check_count,
    check_duration,
    check_flag,
    check_instance,
)

from ._failed_try import ErrorListener
from ._middleware import Middleware
from ._ordering import Order
from ._rate import Rate


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerDefaults:
    """How a broker runs the handlers whose own `HandlerConfig` does not say.

    Raises:
        TypeError: A value is of another type than its field.
        ValueError: `prefetch` is below 1, `timeout` not longer than zero, or `order` unknown.
    """

    prefetch: int = 16
    """Maximum number of events that the handler works on at a time."""
    timeout: timedelta | None = None
    """How long one try may take; a longer one is cancelled and has failed with a `TimeoutError`.
    None: as long as it likes."""
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    """How often a failed try is repeated, unless the handler itself says. A waiting event holds no
    slot of its handler."""
    middleware: Middleware = field(default_factory=Middleware)
    """What events pass through."""
    on_error: ErrorListener | None = None
    """Decides what follows each failed try. None: violations go by their `retryable`,
    every other error is tried again."""
    order: Order | None = None
    """What events wait for: `subject`, those of their subject; `key`, those of their extension
    `partitionkey`, or of their subject where they have none; `none`, nothing. `key` is for
    stateless handlers alone. None: `subject` for stateful handlers, `none` for stateless ones."""
    rate: Rate | None = None
    """How many tries of a handler may begin within a time, in this process. None: any number."""
    dead_letter_reply: bool = False
    """Whether the sender of a request that becomes a dead letter gets the contract's system error,
    so that it does not wait indefinitely."""

    def __post_init__(self) -> None:
        check_count(self.prefetch, name="prefetch", least=1)
        check_instance(self.retry, kind=RetryPolicy, name="retry")
        check_instance(self.middleware, kind=Middleware, name="middleware")
        check_flag(self.dead_letter_reply, name="dead_letter_reply")
        _check(self.timeout, self.on_error, self.order, self.rate)


@dataclass(frozen=True, slots=True)
class HandlerConfig:
    """A handler and how the broker runs it. What is None comes from the broker's defaults.

    Raises:
        TypeError: As `HandlerDefaults`; or `handler` is not a handler.
        ValueError: As `HandlerDefaults`.
    """

    handler: IArvoEventHandler
    """The handler; it listens to the topic that is its `source`."""
    _: KW_ONLY
    prefetch: int | None = None
    """As `HandlerDefaults.prefetch`."""
    timeout: timedelta | None = None
    """As `HandlerDefaults.timeout`."""
    retry: RetryPolicy | None = None
    """As `HandlerDefaults.retry`. None: the handler's own `retry`; without one, the defaults'."""
    middleware: Middleware | None = None
    """As `HandlerDefaults.middleware`; the side it leaves open comes from there."""
    on_error: ErrorListener | None = None
    """As `HandlerDefaults.on_error`."""
    order: Order | None = None
    """As `HandlerDefaults.order`."""
    rate: Rate | None = None
    """As `HandlerDefaults.rate`."""
    dead_letter_reply: bool | None = None
    """As `HandlerDefaults.dead_letter_reply`."""

    def __post_init__(self) -> None:
        check_handler(self.handler)
        try:
            if self.prefetch is not None:
                check_count(self.prefetch, name="prefetch", least=1)
            if self.retry is not None:
                check_instance(self.retry, kind=RetryPolicy, name="retry")
            if self.middleware is not None:
                check_instance(self.middleware, kind=Middleware, name="middleware")
            if self.dead_letter_reply is not None:
                check_flag(self.dead_letter_reply, name="dead_letter_reply")
            _check(self.timeout, self.on_error, self.order, self.rate)
        except (TypeError, ValueError) as error:
            raise type(error)(f"handler {self.handler.source!r}: {error}") from None

    def settled(self, defaults: HandlerDefaults) -> HandlerDefaults:
        """Return what applies: the handler's own settings over the defaults, field by field.

        Raises:
            ValueError: A stateful handler is to have `order="key"`: what belongs to one workflow
                has one subject, but not one key.
        """
        middleware = defaults.middleware
        order = self.order or defaults.order or _natural_order(self.handler)
        if order == "key" and self.handler.stateful:
            raise ValueError(
                f'handler {self.handler.source!r}: order="key" is for stateless handlers; the '
                'events of a workflow are ordered by their subject: order="subject"'
            )
        return HandlerDefaults(
            prefetch=defaults.prefetch if self.prefetch is None else self.prefetch,
            timeout=defaults.timeout if self.timeout is None else self.timeout,
            retry=self.retry or own_retry_policy(self.handler) or defaults.retry,
            middleware=self.middleware.over(middleware) if self.middleware else middleware,
            on_error=self.on_error or defaults.on_error,
            order=order,
            rate=self.rate or defaults.rate,
            dead_letter_reply=defaults.dead_letter_reply
            if self.dead_letter_reply is None
            else self.dead_letter_reply,
        )


def _natural_order(handler: IArvoEventHandler) -> Order:
    return "subject" if handler.stateful else "none"


def _check(
    timeout: timedelta | None, on_error: ErrorListener | None, order: object, rate: object
) -> None:
    if timeout is not None:
        check_duration(timeout, name="timeout", above_zero=True)
    if on_error is not None:
        check_callable(on_error, name="on_error")
    if order is not None:
        check_instance(order, kind=str, name="order")
        if order not in get_args(Order):
            raise ValueError(f'order must be "subject", "key" or "none", got {order!r}')
    if rate is not None:
        check_instance(rate, kind=Rate, name="rate")
