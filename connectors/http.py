"""The only module that talks HTTP to destinations: one POST, one honest answer to "was it sent, and what came back?".

No retries, no redirects, no opinion about status codes. Nothing of a request or an answer is put into an error or a log.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cache
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from connectors.errors import ConfigError

if TYPE_CHECKING:
    import ssl

    import httpx

MAX_ANSWER_BYTES = 8 << 20
MAX_WAIT = 86_400
"""Seconds; a longer Retry-After is taken for a mistake and cut to this."""

for _name in ("httpx", "httpcore"):  # they log whole URLs, query included, to whoever listens at INFO or DEBUG
    if logging.getLogger(_name).level == logging.NOTSET:
        logging.getLogger(_name).setLevel(logging.WARNING)


@dataclass(frozen=True)
class NeverSent:
    """No connection: the other side can't have seen the request. `reason` is a few plain words."""

    reason: str


@dataclass(frozen=True)
class Ambiguous:
    """The request went out, wholly or in part, and no answer came: it may or may not have been applied."""

    reason: str


@dataclass(frozen=True)
class Answered:
    """An answer came.

    Args:
        status: HTTP status.
        headers: names in lower case.
        body: None when it was too large or did not arrive completely.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes | None


def checked_url(url: str) -> str:
    """The URL, if requests with personal data may go to it.

    Raises:
        ValueError: it is not https (or http to this machine), is incomplete, or holds credentials.
    """
    parts = urlsplit(url)
    if not parts.hostname or parts.port == 0:  # a port that is no number raises here
        raise ValueError("not a complete URL")
    if parts.username or parts.password:
        raise ValueError("credentials do not belong into the URL")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(parts.hostname)):
        raise ValueError("must be https (http only to this machine)")
    return url


def post_json(
    url: str, body: bytes, headers: Mapping[str, str], *, timeout: float, max_answer: int = MAX_ANSWER_BYTES
) -> NeverSent | Ambiguous | Answered:
    """Posts a JSON body once.

    Args:
        url: where to.
        body: the JSON text, UTF-8.
        headers: besides Content-Type and Accept.
        timeout: seconds for connecting, for sending, and for each wait for a part of the answer; four times as much for the whole answer.
        max_answer: bytes of the answer's body that are read.

    Raises:
        ConfigError: the URL can't be used at all.
    """
    import httpx

    sent = {"Content-Type": "application/json", "Accept": "application/json", **headers}
    on_this_machine = _is_loopback(urlsplit(url).hostname or "")
    try:
        with (
            httpx.Client(timeout=timeout, follow_redirects=False, verify=_certificates(), trust_env=not on_this_machine) as client,
            client.stream("POST", url, content=body, headers=sent) as response,
        ):
            return Answered(response.status_code, {k.lower(): v for k, v in response.headers.items()}, _body(response, max_answer, 4 * timeout))
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
        return NeverSent(_words(error))
    except (httpx.UnsupportedProtocol, httpx.InvalidURL):
        raise ConfigError("the destination's URL can't be used") from None
    except httpx.TransportError as error:
        return Ambiguous(_words(error))


def retry_after(headers: Mapping[str, str], now: float) -> int | None:
    """Seconds an answer asks to wait (RFC 9110, 10.2.3: seconds or a date), between 0 and `MAX_WAIT`; None when it does not say.

    Args:
        headers: of the answer, names in lower case.
        now: Unix time, for the date form.
    """
    text = headers.get("retry-after", "").strip()
    try:
        seconds = int(text) if text.isdecimal() else parsedate_to_datetime(text).timestamp() - now
    except (ValueError, OverflowError):
        return None
    return int(min(max(seconds, 0), MAX_WAIT))


def _body(response: httpx.Response, limit: int, seconds: float) -> bytes | None:
    import httpx

    deadline = time.monotonic() + seconds
    body = bytearray()
    try:
        for part in response.iter_bytes(65_536):
            body += part
            if len(body) > limit or time.monotonic() > deadline:
                return None
    except (httpx.TransportError, httpx.DecodingError):
        return None
    return bytes(body)


@cache
def _certificates() -> ssl.SSLContext:
    import httpx

    return httpx.create_ssl_context()


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _words(error: Exception) -> str:
    """ReadTimeout -> "read timeout". The error's own text may hold addresses."""
    name = type(error).__name__
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name).strip()
