"""The only module that imports httpx: one exchange, and one honest answer to "was it sent, and what came back?".

No retries, no redirects, no opinion about status codes. Nothing of a request or an answer is put into an error or a log.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import orjson

from connectors.errors import ConfigError

if TYPE_CHECKING:
    import ssl

    import httpx

MAX_ANSWER_BYTES = 64 << 20
CONNECTIONS = 16
SENT_ALWAYS = {"Accept-Encoding": "gzip, deflate", "User-Agent": "seg-assets"}

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

    @cached_property
    def json(self) -> Any:
        """The body as JSON; None where it is no JSON."""
        try:
            return orjson.loads(self.body or b"")
        except ValueError:
            pass
        try:  # reads halves of characters too: a page with one in some name is still a page
            return json.loads(self.body or b"")
        except (ValueError, RecursionError):
            return None


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
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname)):
        raise ValueError("must be https (http only to this machine)")
    return url


def is_loopback(host: str) -> bool:
    """Whether a host name is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Client:
    """A pool of connections, opened when first used; safe to share among threads.

    Args:
        timeout: seconds for connecting, for sending, and for each wait for a part of the answer; four times as much for the whole answer.
        max_answer: bytes of an answer's body that are read, after decompression.
    """

    def __init__(self, timeout: float = 30, max_answer: int = MAX_ANSWER_BYTES) -> None:
        self._timeout, self._max_answer = timeout, max_answer
        self._opening = threading.Lock()
        self._pools: dict[str, httpx.HTTPTransport] = {}
        self._proxies: dict[str, str] = {}

    def exchange(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None) -> NeverSent | Ambiguous | Answered:
        """Sends one request and waits for its answer.

        Raises:
            ConfigError: the URL or a header can't be used at all.
        """
        import httpx

        seconds = dict.fromkeys(("connect", "read", "write", "pool"), self._timeout)
        try:
            request = httpx.Request(method, url, content=body, headers={**SENT_ALWAYS, **headers}, extensions={"timeout": seconds})
            response = self._pool(request.url.scheme, request.url.host).handle_request(request)
            try:
                told = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers.raw}
                return Answered(response.status_code, told, self._body(response))
            finally:
                response.close()
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError) as error:
            return NeverSent(_words(error))
        except (httpx.UnsupportedProtocol, httpx.InvalidURL, httpx.LocalProtocolError, UnicodeError, ValueError):
            raise ConfigError("the request can't be sent: its URL or a header is not usable", hint="check the address and the credentials") from None
        except httpx.TransportError as error:
            return Ambiguous(_words(error))

    def close(self) -> None:
        """Closes every connection; the next exchange opens new ones."""
        with self._opening:
            while self._pools:
                self._pools.popitem()[1].close()

    def _pool(self, scheme: str, host: str) -> httpx.HTTPTransport:
        """Connections to a host. Below httpx's own client, which would add cookies, redirects and half as much time again to every request."""
        import httpx

        with self._opening:
            if host not in self._proxies:
                self._proxies[host] = _proxy(scheme, host)
            proxy = self._proxies[host]
            if proxy not in self._pools:
                limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
                self._pools[proxy] = httpx.HTTPTransport(verify=_certificates(), trust_env=False, limits=limits, proxy=proxy or None)
            return self._pools[proxy]

    def _body(self, response: httpx.Response) -> bytes | None:
        import httpx

        deadline = time.monotonic() + 4 * self._timeout
        body = bytearray()
        try:
            for part in response.iter_bytes(65_536):
                body += part
                if len(body) > self._max_answer or time.monotonic() > deadline:
                    return None
        except (httpx.TransportError, httpx.DecodingError):
            return None
        return bytes(body)


def _proxy(scheme: str, host: str) -> str:
    """The proxy that this machine's settings name for a host, "" for none."""
    if is_loopback(host) or proxy_bypass(host):
        return ""
    proxies = getproxies()
    proxy = proxies.get(scheme) or proxies.get("all") or ""
    return proxy if "://" in proxy or not proxy else f"http://{proxy}"


@cache
def _certificates() -> ssl.SSLContext:
    import httpx

    return httpx.create_ssl_context()


def _words(error: Exception) -> str:
    """ReadTimeout -> "read timeout". The error's own text may hold addresses."""
    name = type(error).__name__
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name).strip()
