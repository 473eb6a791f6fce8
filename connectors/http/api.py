"""`Api`: calls a vendor's endpoints as its spec says. Budgets, tokens, rules and waits come together here, in one loop.

What an exchange can end in: it was never sent (always tried again), nobody knows (tried again only where repeating is harmless), or it was answered (rules
decide). A wait that is too long is not waited for: the call is put off, and says until when. Clock and sleep are the context's.
"""

from __future__ import annotations

import hashlib
import json as jsonlib
import os
import random
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urljoin, urlsplit

from connectors.errors import ConfigError, SourceError
from connectors.http.auth import Authorizer, NoTokenError
from connectors.http.budgets import Budgets, Window
from connectors.http.client import Ambiguous, Answered, Client, NeverSent, checked_url
from connectors.http.jsontext import encoded
from connectors.http.paging import LoopGuard, NumberPaging, OffsetPaging
from connectors.http.redact import Redactor
from connectors.http.rules import Action, RowAnswer, judge, row_answers
from connectors.http.spec import BudgetSpec, Endpoint, HttpSpec, WindowSpec
from connectors.http.tokens import Token, TokenStore
from connectors.http.waits import asked_wait, backoff
from connectors.types import Context, Cost


@dataclass(frozen=True)
class Reply:
    """What a call ended in, after all retries.

    Args:
        action: OK, ROW_ERRORS, SPLIT, RETRY, SKIP_ROW, FAIL_PERMANENT or IN_DOUBT.
        reason: why, in words without secrets or personal data.
        answer: the last answer, if one came.
        not_before: for RETRY: Unix time before which it is useless.
        maybe_applied: whether a failed request may have taken effect.
        wait: seconds to pause at least.
        unreachable: whether there was nobody to send to, or no token to send with.
    """

    action: Action
    reason: str = ""
    answer: Answered | None = None
    not_before: float | None = None
    maybe_applied: bool = False
    wait: float = 0.0
    unreachable: bool = False
    endpoint: Endpoint | None = field(default=None, repr=False)

    @property
    def json(self) -> Any:
        """The answer's body as JSON; None where there is none."""
        return self.answer.json if self.answer else None

    @property
    def rows(self) -> Iterator[RowAnswer]:
        """What the answer says of single rows."""
        return row_answers(self.answer, self.endpoint.rows) if self.answer and self.endpoint else iter(())


@dataclass(frozen=True)
class _Request:
    endpoint: Endpoint
    path: str
    query: Mapping[str, Any]
    headers: Mapping[str, str]
    body: bytes | None
    url: str | None = None


class Api:
    """A vendor's interface for one account. Touches nothing until it is called; safe to share among threads.

    Args:
        spec: the vendor's interface.
        secrets: what its auth needs, by name.
        name: what messages call the vendor; default its host.
        account: accounts with the same limits share them; default: each credential has its own.
        seed: of the jitter between retries.
    """

    def __init__(self, spec: HttpSpec, secrets: Mapping[str, str], *, name: str = "", account: str | None = None, seed: str | None = None) -> None:
        self.spec, self.cost = spec, Cost()
        self.name = name or urlsplit(spec.base_url).hostname or ""
        self._secrets = {name: value for name, value in secrets.items() if value}
        self._redactor = Redactor(self._secrets.values())
        identity = jsonlib.dumps([spec.base_url, spec.auth.type, sorted(self._secrets.items())])
        self._credential = _digest(identity)
        self._place = f"{urlsplit(spec.base_url).hostname}-{_digest(account) if account else self._credential}"
        self._dice = random.Random(seed if seed is not None else f"{self._credential}{os.getpid()}")
        self._client = Client(spec.timeout, spec.max_answer)
        self._lock, self._opened = threading.Lock(), dict[Path, tuple[Authorizer, Budgets]]()

    def call(
        self,
        endpoint: str,
        context: Context,
        *,
        path: Mapping[str, str] | None = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        body: bytes | None = None,
    ) -> Reply:
        """Calls an endpoint, as often as it takes.

        Args:
            endpoint: name in the spec.
            context: of the run; its clock is waited with, its home keeps tokens and what is spent.
            path: values for the path's {names}.
            query: added to the endpoint's own; None values are left out.
            headers: added to the vendor's.
            json: body, as data.
            body: body, as JSON text or what `headers` say; used instead of `json`.

        Raises:
            ConfigError: credentials, permissions or address are wrong.
        """
        return self._send(endpoint, self._request(endpoint, path, query, headers, json, body), context)

    def read(self, endpoint: str, context: Context, **given: Any) -> Reply:
        """As `call`, for sources: anything but success is an error.

        Raises:
            SourceError: the vendor can't be read now, or refuses.
            ConfigError: credentials, permissions or address are wrong.
        """
        return self._readable(endpoint, self.call(endpoint, context, **given))

    def pages(self, endpoint: str, context: Context, **given: Any) -> Iterator[tuple[Sequence[Any], Reply]]:
        """Rows and reply of each page of an endpoint. Arguments and errors as for `read`; paging that leads in a circle is an error too."""
        request = self._request(endpoint, *(given.get(name) for name in ("path", "query", "headers", "json", "body")))
        paging = request.endpoint.paging
        if paging is None:
            raise ValueError(f"endpoint {endpoint} has no paging")
        if isinstance(paging, OffsetPaging | NumberPaging):
            request = replace(request, query={**paging.first(), **request.query})
        guard, content = LoopGuard(paging.max_pages), given.get("json")
        while True:
            reply = self._readable(endpoint, self._send(endpoint, request, context))
            found = paging.items.find(reply.json)
            rows = found[0] if len(found) == 1 and isinstance(found[0], list) else found
            yield rows, reply
            following = paging.after(reply.answer, request.query, len(rows)) if reply.answer else None
            if following is None:
                return
            guard.step(following)
            place, value = following
            if place == "url":
                request = replace(request, url=self._followed(value, request))
            elif place == "header":
                request = replace(request, headers={**request.headers, **{name: str(one) for name, one in value.items()}})
            elif place == "body":
                content = {**(content or {}), **value}
                request = replace(request, body=encoded(content))
            else:
                request = replace(request, query={**request.query, **value})

    def close(self) -> None:
        """Closes connections. Tokens and budgets stay where they are."""
        self._client.close()

    def _request(
        self,
        name: str,
        path: Mapping[str, str] | None,
        query: Mapping[str, Any] | None,
        headers: Mapping[str, str] | None,
        json: Any,
        body: bytes | None,
    ) -> _Request:
        endpoint = self.spec.endpoints[name]
        filled = endpoint.path.format_map({**self.spec.places, **{key: quote(value, safe="") for key, value in (path or {}).items()}})
        body = encoded(json) if body is None and json is not None else body
        sent = {"Accept": "application/json", **({"Content-Type": "application/json"} if body is not None else {}), **self.spec.headers}
        return _Request(endpoint, filled, {**endpoint.query, **(query or {})}, {**sent, **(headers or {})}, body)

    def _send(self, name: str, request: _Request, context: Context) -> Reply:
        reply = self._tried(request, context)
        if reply.action is Action.FAIL_CONFIG:
            raise ConfigError(f"{self.name} ({name}): {reply.reason}", hint="check the credentials, their permissions and the address")
        return reply

    def _tried(self, request: _Request, context: Context) -> Reply:
        """What a request ends in, sent as often as it takes."""
        authorizer, budgets = self._open(context)
        retry, attempt, renewed, in_doubt = self.spec.retry, 0, False, False
        while True:
            spent_at = self._spend(request, budgets, context)
            if isinstance(spent_at, Reply):
                return replace(spent_at, action=Action.IN_DOUBT) if in_doubt else spent_at
            attempt += 1
            try:
                token = authorizer.token(context.clock.now())
                reply = self._once(request, authorizer, token, budgets, spent_at, context)
                if reply.action is Action.REFRESH_TOKEN:
                    if renewed or not authorizer.renews:
                        return replace(reply, action=Action.FAIL_CONFIG)
                    authorizer.renew(token, context.clock.now())
                    renewed, attempt = True, attempt - 1
                    continue
            except NoTokenError as error:
                reply = Reply(Action.RETRY, str(error), unreachable=True, endpoint=request.endpoint)
            if reply.action not in {Action.RETRY, Action.RATE_LIMITED}:
                return reply
            in_doubt |= reply.maybe_applied
            if in_doubt and not request.endpoint.repeating.may_repeat:
                return replace(reply, action=Action.IN_DOUBT)
            wait = max(reply.wait, self._asked(reply, context), backoff(attempt, retry.backoff, retry.longest_backoff, self._dice))
            if reply.action is Action.RATE_LIMITED:
                budgets.block([window for _, window in self._windows(request)], context.clock.now() + wait)
            if attempt >= retry.attempts or not self._waited(wait, context):
                return replace(reply, action=Action.IN_DOUBT if in_doubt else Action.RETRY, not_before=context.clock.now() + wait)

    def _once(self, request: _Request, authorizer: Authorizer, token: Token | None, budgets: Budgets, spent_at: float, context: Context) -> Reply:
        now = context.clock.now()
        url = self._url(request, token, authorizer.query())
        headers = {**request.headers, **authorizer.headers(token, request.endpoint.method, url, request.body, now)}
        match self._client.exchange(request.endpoint.method, url, headers, request.body):
            case NeverSent(reason):
                reply = Reply(Action.RETRY, f"can't be reached: {reason}", unreachable=True)
            case Ambiguous(reason):
                reply = Reply(Action.RETRY, f"no answer: {reason}", maybe_applied=True)
            case Answered() as answer:
                rules = (*request.endpoint.rules, *self.spec.rules)
                success = request.endpoint.success_when or self.spec.success_when
                found = judge(answer, rules, success)
                reply = Reply(found.action, found.reason, answer, maybe_applied=found.maybe_applied, wait=found.wait)
                self._learn(request, answer, budgets, context.clock.now())
        budgets.answered([window for _, window in self._windows(request)], request.endpoint.weight, spent_at, context.clock.now())
        self._pay(context, calls=1, sent=len(request.body or b""), received=len((reply.answer and reply.answer.body) or b""))
        context.log.debug("%s %s: %s %s", request.endpoint.method, request.endpoint.path, reply.action.value, reply.reason)
        return replace(reply, endpoint=request.endpoint)

    def _spend(self, request: _Request, budgets: Budgets, context: Context) -> Reply | float:
        """Takes the call's weight from its budgets, waiting if need be: the instant it is counted at, or a reply when that would take too long."""
        windows = [window for _, window in self._windows(request)]
        while True:
            now = context.clock.now()
            if not windows or not (wait := budgets.spend(windows, request.endpoint.weight, now)):
                return now
            if not self._waited(wait, context):
                return Reply(Action.RETRY, "the rate limit is used up", not_before=context.clock.now() + wait, endpoint=request.endpoint)

    def _waited(self, wait: float, context: Context) -> bool:
        """Sleeps, unless that is longer than patience or the run's deadline allows."""
        late = context.deadline is not None and context.clock.now() + wait > context.deadline.timestamp()
        if late or wait > self.spec.retry.patience:
            return False
        self._pay(context, waited=wait)
        context.clock.sleep(wait)
        return True

    def _asked(self, reply: Reply, context: Context) -> float:
        """Seconds the answer asks to wait."""
        if reply.answer is None:
            return 0.0
        names = {"retry-after", *(window.reset.lower() for spec in self.spec.budgets.values() for window in spec.windows if window.reset)}
        if reply.action is not Action.RATE_LIMITED:
            names = {"retry-after"}
        waits = [asked_wait(reply.answer.headers.get(name, ""), context.clock.now()) for name in names]
        return max((wait for wait in waits if wait is not None), default=0.0)

    def _learn(self, request: _Request, answer: Answered, budgets: Budgets, now: float) -> None:
        left: dict[Window, float] = {}
        for spec, window in self._windows(request):
            text = answer.headers.get(spec.remaining.lower(), "").strip() if spec.remaining else ""
            if text.isascii() and text.isdecimal():
                left[window] = float(text)
                wait = asked_wait(answer.headers.get(spec.reset.lower(), ""), now) if spec.reset and float(text) == 0 else None
                if wait:
                    budgets.block([window], now + wait)
        if left:
            budgets.learn(left, now)

    def _windows(self, request: _Request) -> list[tuple[WindowSpec, Window]]:
        covering: list[tuple[str, BudgetSpec]] = [item for item in self.spec.budgets.items() if item[1].covers(request.endpoint.path)]
        return [(window, Window(f"{name}/{window.per:g}s", window.n, window.per)) for name, spec in covering for window in spec.windows]

    def _url(self, request: _Request, token: Token | None, extra: Mapping[str, str]) -> str:
        base = token.base_url if token and token.base_url else self.spec.base_url
        url = request.url or (base.rstrip("/") + request.path if request.path else base)
        query = {} if request.url else {name: value for name, value in request.query.items() if value is not None}
        if encoded := urlencode({**query, **extra}, doseq=True):
            url += ("&" if "?" in url else "?") + encoded
        if not self.spec.reaches(urlsplit(url).hostname or ""):
            raise ConfigError("the token leads to another host, which gets no requests", hint="add it to `hosts` if that is right")
        return checked_url(url)

    def _followed(self, link: str, request: _Request) -> str:
        """A next page's address, if requests may go there."""
        try:
            base = self.spec.base_url.rstrip("/")
            below = link.startswith("/") and getattr(request.endpoint.paging, "below_base", False)
            url = base + link if below else urljoin(request.url or base + request.path, link)
            if self.spec.reaches(urlsplit(url).hostname or ""):
                return checked_url(url)
        except ValueError:
            pass
        raise SourceError("the next page is on another host, which gets no requests", hint="add it to `hosts` if that is right")

    def _readable(self, endpoint: str, reply: Reply) -> Reply:
        match reply.action:
            case Action.OK | Action.ROW_ERRORS:
                return reply
            case Action.RETRY if reply.not_before:
                raise SourceError(f"{self.name} ({endpoint}): {reply.reason}", hint="the vendor asks to come back later; nothing read so far is lost")
        raise SourceError(f"{self.name} ({endpoint}): {reply.reason}")

    def _open(self, context: Context) -> tuple[Authorizer, Budgets]:
        home = (context.home or context.root) / "connections"
        with self._lock:
            if home not in self._opened:
                auth = self.spec.auth
                token_url = urljoin(f"{self.spec.base_url.rstrip('/')}/", getattr(auth, "token_url", "").removeprefix("/"))
                store = TokenStore(home / self._place / f"token-{self._credential}.sqlite")
                authorizer = Authorizer(auth, self._secrets, token_url, store, self._client.exchange)
                self._opened[home] = authorizer, Budgets(home / self._place / "budgets.sqlite")
            if self._redactor not in context.log.filters:  # from now on, whatever the connector logs there
                context.log.addFilter(self._redactor)
                weakref.finalize(self, context.log.removeFilter, self._redactor)
            return self._opened[home]

    def _pay(self, context: Context, **cost: Any) -> None:
        self.cost.add(**cost)
        context.cost.add(**cost)


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
