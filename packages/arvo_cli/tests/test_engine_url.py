"""What is shown of the URLs of engines."""

import pytest

from arvo_cli._backend._engine_url import without_secret


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://me:s3cret@host/0", "redis://me:***@host/0"),
        ("redis://:s3cret@host/0", "redis://:***@host/0"),
        ("redis://me:s3@c,r:et@host", "redis://me:***@host"),
        ("postgresql://postgres@host/db", "postgresql://postgres@host/db"),
        ("nats://t0ken@host:4222", "nats://***@host:4222"),
        ("tls://t0ken@a:4222,b:4222?namespace=n", "tls://***@a:4222,b:4222?namespace=n"),
        ("nats://host:4222,other:4222", "nats://host:4222,other:4222"),
    ],
)
def test_a_url_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert without_secret(f"cannot reach {url}", url=url) == f"cannot reach {shown}"


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        ("nats://ann:s3cret@a:4222,ben:secr3t@b:4222", ["s3cret", "secr3t"]),
        ("nats://ann:s3cret@a:4222,b:4222,cy:secr3t@c:4222", ["s3cret", "secr3t"]),
        ("nats://ann:s3,cret@a,ben:se,cr3t@b", ["s3,cret", "se,cr3t"]),
        ("nats://ann:s3cret@a,ben:s3cretlonger@b", ["s3cretlonger", "s3cret"]),
        ("nats://ann:s3%63ret@a,ben:%73ecr3t@b", ["s3cret", "s3%63ret", "secr3t"]),
        ("nats://t0ken@a,t0ken2@b,c:4222,t0ken3@d", ["t0ken3", "t0ken2", "t0ken"]),
        ("redis://me:s3@c,r:et@host", ["s3@c,r:et"]),
    ],
)
def test_none_of_several_secrets_is_shown_alone(url: str, secrets: list[str]) -> None:
    for secret in secrets:
        assert without_secret(f"refused {secret}!", url=url) == "refused ***!"
