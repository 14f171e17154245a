"""Percent-encoding of URIs, as in the attributes of events.

It follows ECMAScript's `encodeURI` and `decodeURI`.
"""

from ._uri import decode_uri, encode_uri, ensure_uri, is_valid_uri

__all__ = ["decode_uri", "encode_uri", "ensure_uri", "is_valid_uri"]
