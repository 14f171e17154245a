"""What is said of a URL that no installed package takes."""

from importlib.metadata import EntryPoint, EntryPoints

import pytest

from arvo_transport import UnknownTransportError, _connect, connect_transport


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let arvo_transport be the only package that is installed."""
    memory = EntryPoint("memory", "arvo_transport._in_memory:connect_url", "arvo.event_transport")
    monkeypatch.setattr(_connect, "entry_points", lambda group: EntryPoints([memory]))


@pytest.mark.parametrize(
    ("scheme", "package"),
    [
        ("redis", "arvo-transport-redis"),
        ("rediss", "arvo-transport-redis"),
        ("unix", "arvo-transport-redis"),
        ("nats", "arvo-transport-nats"),
        ("TLS", "arvo-transport-nats"),
    ],
)
def test_a_known_scheme_is_refused_with_the_package_to_install(scheme: str, package: str) -> None:
    with pytest.raises(UnknownTransportError) as refused:
        connect_transport(f"{scheme}://me:s3cret@host/0")
    error = refused.value
    assert (error.scheme, error.package, error.installed) == (scheme.lower(), package, ("memory",))
    assert str(error) == (
        f"no installed package has a transport for {scheme.lower()}: Install {package}. "
        "(installed: memory:)"
    )


def test_an_unknown_one_is_refused_with_those_that_are_installed() -> None:
    with pytest.raises(UnknownTransportError) as refused:
        connect_transport("amqp://me:s3cret@host")
    assert str(refused.value) == (
        "no installed package has a transport for amqp: (installed: memory:)"
    )


@pytest.mark.parametrize("url", ["", "localhost", "/run/redis.sock", "://host"])
def test_what_is_not_a_url(url: str) -> None:
    with pytest.raises(UnknownTransportError) as refused:
        connect_transport(url)
    assert refused.value.scheme is None
    assert str(refused.value).startswith("a transport is named by a URL, such as redis://localhost")
