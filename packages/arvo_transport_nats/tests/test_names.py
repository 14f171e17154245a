"""Names of streams and subjects."""

import pytest
from hypothesis import given, strategies as st

from arvo_transport import UnknownTopicError
from arvo_transport_nats._names import Names, token

from .clients import connect, new_namespace


def test_a_topic_is_one_token() -> None:
    assert token("com.order") == "com_2Eorder"
    assert token("domain:human") == "domain_3Ahuman"
    assert token("a_2Eb") == "a_5F2Eb"
    assert token("Zoë *>") == "Zo_C3_AB_20_2A_3E"


@given(st.text(), st.text())
def test_topics_do_not_share_a_token(one: str, other: str) -> None:
    assert (token(one) == token(other)) == (one == other)


def test_the_stream_of_a_topic_is_no_other_of_ours() -> None:
    names = Names("shop")
    assert names.stream("com.order", generation=0) == "shop_com_2Eorder"
    assert names.stream("com.order", generation=3) == "shop_com_2Eorder_g3"
    assert names.subject("com.order", 17) == "shop.com_2Eorder.17"
    assert Names("shop-a").stream("b", generation=0) != Names("shop").stream("a-b", generation=0)


@pytest.mark.parametrize("namespace", ["", "a.b", "a_b", "a b", "x" * 41, "ä", "*", "a\n"])
def test_a_bad_namespace_is_refused(namespace: str) -> None:
    with pytest.raises(ValueError, match="namespace must be 1 to 40 letters, digits and -"):
        Names(namespace)


def test_a_topic_that_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match=r"takes 300 bytes, .* three each; 200 is the most"):
        Names("shop").stream("." * 100, generation=0)


@pytest.mark.parametrize("name", ["", "x" * 5_000], ids=["empty", "huge"])
async def test_a_name_that_no_topic_can_have_is_unknown(nats_url: str, name: str) -> None:
    async with connect(nats_url, namespace=new_namespace()) as transport:
        for ask in (transport.peek, transport.depth, transport.relayout):
            with pytest.raises(UnknownTopicError):
                await ask(name)
        with pytest.raises(UnknownTopicError):
            await transport.pause(name, paused=True)
