"""How requests are authorised: what a spec may ask for, and the object that adds it to requests and renews what expires.

Secrets come by name from the connector and stay in memory; only tokens a vendor issued are kept, by `tokens`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlencode, urlsplit

from pydantic import BaseModel, ConfigDict, Field

from connectors.errors import ConfigError
from connectors.http.client import Ambiguous, Answered, NeverSent
from connectors.http.tokens import Token, TokenStore

Exchange = Callable[[str, str, Mapping[str, str], bytes | None], NeverSent | Ambiguous | Answered]


class NoTokenError(Exception):
    """The vendor can't give a token at the moment. The text is safe to show."""


class _Auth(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NoAuth(_Auth):
    """Nothing is added."""

    type: Literal["none"] = "none"


class ApiKeyAuth(_Auth):
    """The secret `api_key` in a header or a query parameter."""

    type: Literal["api_key"]
    header: str | None = None
    query: str | None = None
    prefix: str = Field("", description="Written before the key, e.g. 'Key '.")


class BearerAuth(_Auth):
    """The secret `token` as a bearer token (RFC 6750)."""

    type: Literal["bearer"]


class BasicAuth(_Auth):
    """The secrets `username` and `password` (RFC 7617)."""

    type: Literal["basic"]


class HmacAuth(_Auth):
    """A keyed hash of time and body, made with the secret `signing_key`."""

    type: Literal["hmac"]
    header: str
    value: str = Field("t={time},v1={hex}", description="Header's value; {time} Unix seconds, {hex} or {base64} the hash.")
    message: str = Field("{time}.{body}", description="What is hashed; {method} and {url} may be used too.")
    algorithm: Literal["sha256", "sha512"] = "sha256"


class _TokenAuth(_Auth):
    token_url: str = Field(description="Address, or path below base_url, that issues tokens.")
    client: Literal["body", "basic"] = Field("body", description="Where `client_id` and `client_secret` are sent.")
    params: dict[str, str] = Field(default_factory=dict, description="Further form fields, e.g. scope.")
    base_url_from: str | None = Field(None, description="Field of the token's answer that holds the address to use from then on.")


class ClientCredentialsAuth(_TokenAuth):
    """OAuth 2 client credentials (RFC 6749, 4.4)."""

    type: Literal["oauth2_client_credentials"]


class RefreshAuth(_TokenAuth):
    """OAuth 2 refresh token (RFC 6749, 6); the secret `refresh_token` starts it, and a vendor may replace it with every use."""

    type: Literal["oauth2_refresh"]


class JwtBearerAuth(_TokenAuth):
    """OAuth 2 JWT bearer (RFC 7523), signed with the secret `private_key` (PEM)."""

    type: Literal["jwt_bearer"]
    client: Literal["body", "basic", "none"] = "none"  # type: ignore[assignment]
    algorithm: Literal["RS256", "ES256", "HS256"] = "RS256"
    claims: dict[str, str] = Field(description="Claims; {name} is a secret's value.")
    lifetime: float = Field(180, gt=0, description="Seconds the assertion is good for.")


Auth = Annotated[
    NoAuth | ApiKeyAuth | BearerAuth | BasicAuth | HmacAuth | ClientCredentialsAuth | RefreshAuth | JwtBearerAuth, Field(discriminator="type")
]


class Authorizer:
    """Adds authorisation to requests and renews it.

    Args:
        auth: the spec's part.
        secrets: values by name.
        token_url: complete address that issues tokens; "" where none is needed.
        store: keeps tokens; not used by auths without tokens.
        exchange: sends the request for a token.
    """

    def __init__(self, auth: Auth, secrets: Mapping[str, str], token_url: str, store: TokenStore, exchange: Exchange) -> None:
        self._auth, self._secrets, self._url, self._store, self._exchange = auth, secrets, token_url, store, exchange
        self._token: Token | None = None

    @property
    def renews(self) -> bool:
        """Whether there is something to renew."""
        return isinstance(self._auth, _TokenAuth)

    def token(self, now: float) -> Token | None:
        """The token to send with, renewed ahead of its end; None for auths without tokens.

        Raises:
            NoTokenError: the vendor does not answer.
            ConfigError: the vendor refuses.
        """
        if not self.renews:
            return None
        if self._token is None:
            self._token = self._store.current()
        if self._token is None or not self._token.is_fresh(now):
            self.renew(self._token, now)
        return self._token

    def renew(self, stale: Token | None, now: float) -> None:
        """Gets a token newer than `stale`, from another process or from the vendor. Raises as `token`."""
        self._token = self._store.renewed(stale.version if stale else None, lambda held: self._asked(held, now))

    def headers(self, token: Token | None, method: str, url: str, body: bytes | None, now: float) -> dict[str, str]:
        """Headers that authorise a request."""
        match self._auth:
            case ApiKeyAuth(header=header, prefix=prefix) if header:
                return {header: prefix + self._secret("api_key")}
            case BearerAuth():
                return {"Authorization": f"Bearer {self._secret('token')}"}
            case BasicAuth():
                return {"Authorization": _basic(self._secret("username"), self._secret("password"))}
            case HmacAuth() as auth:
                return {auth.header: _signed(auth, self._secret("signing_key"), method, url, body or b"", int(now))}
        return {"Authorization": f"Bearer {token.access}"} if token else {}

    def query(self) -> dict[str, str]:
        """Query parameters that authorise a request."""
        match self._auth:
            case ApiKeyAuth(query=name, prefix=prefix) if name:
                return {name: prefix + self._secret("api_key")}
        return {}

    def _secret(self, name: str) -> str:
        if not self._secrets.get(name):
            raise ConfigError(f"the connector gives no {name}", hint="it is needed to sign in")
        return self._secrets[name]

    def _asked(self, held: Token | None, now: float) -> Token:
        auth = self._auth
        if not isinstance(auth, _TokenAuth):
            raise TypeError(f"{auth.type} has no tokens")
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        form = {**auth.params, **self._grant(held, now)}
        if auth.client == "basic":
            headers["Authorization"] = _basic(self._secret("client_id"), self._secret("client_secret"))
        elif auth.client == "body":
            form |= {"client_id": self._secret("client_id"), "client_secret": self._secret("client_secret")}
        match self._exchange("POST", self._url, headers, urlencode(form).encode()):
            case Answered(status=200) as answer if isinstance(answer.json, dict) and isinstance(answer.json.get("access_token"), str):
                return _token(answer.json, auth.base_url_from, now)
            case Answered(status=400 | 401 | 403 as status) as answer:
                raise ConfigError(
                    f"no access token was given: {_oauth_error(answer)} (http {status})", hint="sign in again, or check the credentials"
                )
            case Answered(status=status):
                raise NoTokenError(f"gives no access token (http {status})")
            case NeverSent(reason) | Ambiguous(reason):
                raise NoTokenError(f"can't be asked for an access token: {reason}")

    def _grant(self, held: Token | None, now: float) -> dict[str, str]:
        match self._auth:
            case RefreshAuth():
                return {"grant_type": "refresh_token", "refresh_token": (held and held.refresh) or self._secret("refresh_token")}
            case JwtBearerAuth() as auth:
                return {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": self._assertion(auth, now)}
        return {"grant_type": "client_credentials"}

    def _assertion(self, auth: JwtBearerAuth, now: float) -> str:
        import jwt

        claims: dict[str, Any] = {name: text.format_map(dict(self._secrets)) for name, text in auth.claims.items()}
        try:
            return jwt.encode({**claims, "iat": int(now), "exp": int(now + auth.lifetime)}, self._secret("private_key"), auth.algorithm)
        except (jwt.PyJWTError, ValueError, TypeError):
            raise ConfigError(f"the private key can't be used for {auth.algorithm}", hint="it must be the whole PEM text") from None


_OAUTH_ERRORS = frozenset(
    {"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope", "app_not_found"}
)


def _oauth_error(answer: Answered) -> str:
    """RFC 6749, 5.2; other words may hold anything."""
    stated = answer.json.get("error") if isinstance(answer.json, dict) else None
    return stated if isinstance(stated, str) and stated in _OAUTH_ERRORS else "refused"


def _token(given: Mapping[str, Any], base_url_from: str | None, now: float) -> Token:
    life, refresh = given.get("expires_in"), given.get("refresh_token")
    expires = now + float(life) if isinstance(life, int | float | str) and str(life).replace(".", "", 1).isdecimal() else None
    base_url = given.get(base_url_from) if base_url_from else None
    if base_url is not None and not (isinstance(base_url, str) and urlsplit(base_url).hostname):
        raise ConfigError("the token's answer names an address that can't be used")
    return Token(given["access_token"], now, refresh if isinstance(refresh, str) and refresh else None, expires, base_url)


def _basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def _signed(auth: HmacAuth, key: str, method: str, url: str, body: bytes, at: int) -> str:
    before, _, after = auth.message.partition("{body}")
    shown = {"time": at, "method": method, "url": url}
    message = before.format(**shown).encode() + (body if "{body}" in auth.message else b"") + after.format(**shown).encode()
    digest = hmac.new(key.encode(), message, getattr(hashlib, auth.algorithm))
    return auth.value.format(time=at, hex=digest.hexdigest(), base64=base64.b64encode(digest.digest()).decode())
