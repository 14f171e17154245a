"""How a broker runs a handler."""

from dataclasses import KW_ONLY, dataclass, field
from datetime import timedelta
from typing import Literal, TypeAlias

from arvo_event_handler import ConfigViolation, IArvoEventHandler

from ._duration import check_timedelta
from ._failed_try import ErrorListener
from ._middleware import Middleware
from ._retry_policy import RetryPolicy

Order: TypeAlias = Literal["subject", "none"]
"""`subject`: the events of one subject one after another, as published. `none`: all at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerDefaults:
    """How a broker runs the handlers whose own `HandlerConfig` does not say.

    Raises:
        ConfigViolation: `prefetch` is below 1, `timeout` not longer than zero, or `order` unknown.
        TypeError: `timeout` is not a timedelta.
    """

    prefetch: int = 16
    """How many events the handler works on at once, at most."""
    timeout: timedelta | None = None
    """How long one try may take; a longer one is cancelled and has failed with a `TimeoutError`.
    None: as long as it likes."""
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    """How often a failed try is repeated."""
    middleware: Middleware = field(default_factory=Middleware)
    """What events pass through."""
    on_error: ErrorListener | None = None
    """Is told of each failed try and says what happens. None: violations go by their `retryable`,
    every other error is tried again."""
    order: Order | None = None
    """Whether events of one subject wait for each other. None: `subject` for stateful handlers,
    `none` for stateless ones."""
    dead_letter_reply: bool = False
    """Whether whoever sent a request that becomes a dead letter gets the contract's system error,
    so that it does not wait for ever."""

    def __post_init__(self) -> None:
        _check(self.prefetch, self.timeout, self.order, where="HandlerDefaults")


@dataclass(frozen=True, slots=True)
class HandlerConfig:
    """A handler and how the broker runs it. What is None comes from the broker's defaults.

    Raises:
        ConfigViolation: As `HandlerDefaults`.
        TypeError: As `HandlerDefaults`.
    """

    handler: IArvoEventHandler
    """The handler; it listens to the topic that is its `source`."""
    _: KW_ONLY
    prefetch: int | None = None
    """As `HandlerDefaults.prefetch`."""
    timeout: timedelta | None = None
    """As `HandlerDefaults.timeout`."""
    retry: RetryPolicy | None = None
    """As `HandlerDefaults.retry`."""
    middleware: Middleware | None = None
    """As `HandlerDefaults.middleware`; the side it leaves open comes from there."""
    on_error: ErrorListener | None = None
    """As `HandlerDefaults.on_error`."""
    order: Order | None = None
    """As `HandlerDefaults.order`."""
    dead_letter_reply: bool | None = None
    """As `HandlerDefaults.dead_letter_reply`."""

    def __post_init__(self) -> None:
        if isinstance(self.handler, type) or not hasattr(self.handler, "execute"):
            raise ConfigViolation(f"HandlerConfig takes a handler, got {self.handler!r}")
        _check(self.prefetch, self.timeout, self.order, where=f"handler {self.handler.source!r}")

    def settled(self, defaults: HandlerDefaults) -> HandlerDefaults:
        """Return what applies: the handler's own settings over the defaults, field by field."""
        middleware = defaults.middleware
        return HandlerDefaults(
            prefetch=defaults.prefetch if self.prefetch is None else self.prefetch,
            timeout=defaults.timeout if self.timeout is None else self.timeout,
            retry=self.retry or defaults.retry,
            middleware=self.middleware.over(middleware) if self.middleware else middleware,
            on_error=self.on_error or defaults.on_error,
            order=self.order or defaults.order or _natural_order(self.handler),
            dead_letter_reply=defaults.dead_letter_reply
            if self.dead_letter_reply is None
            else self.dead_letter_reply,
        )


def _natural_order(handler: IArvoEventHandler) -> Order:
    return "subject" if handler.stateful else "none"


def _check(
    prefetch: int | None, timeout: timedelta | None, order: str | None, *, where: str
) -> None:
    if prefetch is not None and prefetch < 1:
        raise ConfigViolation(f"{where}: prefetch must be at least 1, got {prefetch}")
    if timeout is not None:
        check_timedelta(f"{where}: timeout", timeout)
        if timeout <= timedelta(0):
            raise ConfigViolation(f"{where}: timeout must be longer than zero, got {timeout}")
    if order not in (None, "subject", "none"):
        raise ConfigViolation(f'{where}: order must be "subject" or "none", got {order!r}')
