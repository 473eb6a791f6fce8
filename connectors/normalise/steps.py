"""Steps of normalisation: text in; text, or None for what can't be a value of its kind, out. `sha256` gives bytes, which `hex` and `base64` write."""

from __future__ import annotations

import base64 as base64_codec
import hashlib
import re
import unicodedata
from collections.abc import Callable

GMAIL = ("gmail.com",)
GOOGLE = ("gmail.com", "googlemail.com")


def trim(text: str) -> str | None:
    return text.strip() or None


def lower(text: str) -> str:
    return text.lower()


def upper(text: str) -> str:
    return text.upper()


def no_spaces(text: str) -> str | None:
    return re.sub(r"\s+", "", text) or None


def no_punctuation(text: str) -> str | None:
    """Without what Unicode calls punctuation; letters of any script stay."""
    return "".join(one for one in text if not unicodedata.category(one).startswith("P")).strip() or None


def letters(text: str) -> str | None:
    """Only letters, of any script."""
    return "".join(one for one in text if one.isalpha()) or None


def email(text: str) -> str | None:
    """One @ with something on both sides, and a dot behind it."""
    return text if re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", text) else None


def gmail_without_dots(text: str) -> str:
    return _local(text, GMAIL, lambda local: local.replace(".", ""))


def gmail_without_suffix(text: str) -> str:
    return _local(text, GMAIL, lambda local: local.partition("+")[0])


def google_without_dots(text: str) -> str:
    return _local(text, GOOGLE, lambda local: local.replace(".", ""))


def e164(text: str) -> str | None:
    """A number with its country code; one without is nobody's, for the code can't be guessed here."""
    number = re.sub(r"[\s().\-/]", "", text)
    return number if re.fullmatch(r"\+[1-9]\d{6,14}", number) else None


def digits(text: str) -> str | None:
    return re.sub(r"\D", "", text).lstrip("0") or None


def alpha2(text: str) -> str | None:
    """Two letters, as ISO 3166 has them."""
    return text if re.fullmatch(r"[A-Za-z]{2}", text) else None


def sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def hex(digest: bytes) -> str:
    return digest.hex()


def base64(digest: bytes) -> str:
    return base64_codec.b64encode(digest).decode()


def _local(text: str, domains: tuple[str, ...], change: Callable[[str], str]) -> str:
    local, _, domain = text.partition("@")
    return f"{change(local)}@{domain}" if domain in domains else text
