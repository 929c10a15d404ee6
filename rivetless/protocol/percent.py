"""Percent-encoding without Python's leniency: what is malformed is an error, never passed on."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote, quote_plus, unquote_to_bytes

__all__ = ["decode", "decode_form", "decode_text", "encode_component", "encode_form"]

_MALFORMED: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")


def decode(text: str) -> bytes:
    """Return the bytes that a percent-encoded text stands for.

    Args:
        text: as ASGI gives it: each byte one character (Latin-1).

    Raises:
        ValueError: a ``%`` without two hexadecimal digits, or a character above U+00FF.
    """
    try:
        data = text.encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError("It holds characters that are not percent-encoded.") from None
    if "%" not in text:
        return data
    if _MALFORMED.search(text):
        raise ValueError("It holds a % that two hexadecimal digits do not follow.")
    return unquote_to_bytes(data)


def decode_text(text: str) -> str:
    """Return the text that a percent-encoded text stands for.

    Raises:
        ValueError: it is malformed, or not UTF-8.
    """
    try:
        return decode(text).decode()
    except UnicodeDecodeError:
        raise ValueError("It is not UTF-8.") from None


def decode_form(text: str) -> str:
    """Return the text that a form-encoded text stands for, where ``+`` is a space.

    Raises:
        ValueError: it is malformed, or not UTF-8.
    """
    return decode_text(text.replace("+", " "))


def encode_component(text: str) -> str:
    """Return a text as JavaScript's ``encodeURIComponent`` writes it."""
    return quote(text, safe="!~*'()")


def encode_form(text: str) -> str:
    """Return a text as JavaScript's ``URLSearchParams`` writes it."""
    return quote_plus(text, safe="*").replace("~", "%7E")
