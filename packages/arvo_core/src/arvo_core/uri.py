"""Percent-encoding of URIs, by which Arvo writes the attributes of events that hold one.

It is that of ECMAScript's `encodeURI` and `decodeURI`.
"""

from ._uri import decode_uri, encode_uri, ensure_uri, is_valid_uri

__all__ = ["decode_uri", "encode_uri", "ensure_uri", "is_valid_uri"]
