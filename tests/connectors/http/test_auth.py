"""Signing in, staying signed in, and what happens when several do so at once or one of them is killed."""

import base64
import hashlib
import hmac
import json
import multiprocessing
import os
import signal
import stat
import threading
from datetime import UTC, datetime
from urllib.parse import parse_qs

import jwt
import pytest
from werkzeug import Request, Response

from connectors.errors import ConfigError
from connectors.http import Action, Api, HttpSpec
from connectors.http.tokens import Token, TokenStore
from connectors.types import Context

NOW = 1_767_225_600.0
CLIENT = {"client_id": "me", "client_secret": "s3cret"}


class Issuer:
    """A vendor with /token and /things. Refresh tokens are good for one use; `life` is in seconds."""

    def __init__(self, httpserver, life=1_000, first_refresh="r0"):
        self.forms, self.calls, self.life, self.refresh, self.access = [], [], life, first_refresh, None
        self.lock = threading.Lock()
        self.failures = []
        httpserver.expect_request("/token").respond_with_handler(self._issue)
        httpserver.expect_request("/things").respond_with_handler(self._things)

    def _issue(self, request: Request) -> Response:
        with self.lock:
            form = {name: values[0] for name, values in parse_qs(request.get_data(as_text=True)).items()}
            if self.failures:
                return Response("{}", self.failures.pop(0))
            if form["grant_type"] == "refresh_token" and form["refresh_token"] != self.refresh:
                return Response('{"error": "invalid_grant", "error_description": "canary"}', 400)
            self.forms.append(form | {"basic": request.headers.get("Authorization", "")})
            number = len(self.forms)
            self.access, self.refresh = f"a{number}", f"r{number}"
            return Response(json.dumps({"access_token": self.access, "refresh_token": self.refresh, "expires_in": self.life}))

    def _things(self, request: Request) -> Response:
        self.calls.append(request.headers.get("Authorization"))
        return Response("{}", 200 if request.headers.get("Authorization") == f"Bearer {self.access}" else 401)


@pytest.fixture
def issuer(httpserver):
    return Issuer(httpserver)


def oauth(vendor, kind="oauth2_refresh", secrets=CLIENT | {"refresh_token": "r0"}, rules=({"status": 401, "do": "REFRESH_TOKEN"},), **auth):
    return vendor(secrets, auth={"type": kind, "token_url": "/token", **auth}, rules=list(rules))


@pytest.mark.parametrize(
    ("auth", "secrets", "header"),
    [
        ({"type": "api_key", "header": "Authorization", "prefix": "Key "}, {"api_key": "k"}, "Key k"),
        ({"type": "bearer"}, {"token": "t"}, "Bearer t"),
        ({"type": "basic"}, {"username": "ü", "password": "p:q"}, f"Basic {base64.b64encode('ü:p:q'.encode()).decode()}"),
    ],
)
def test_fixed_credentials_go_into_a_header(vendor, context, httpserver, auth, secrets, header):
    httpserver.expect_request("/things", headers={"Authorization": header}).respond_with_data("{}")
    assert vendor(secrets, auth=auth).call("get", context).action is Action.OK


def test_a_keyed_hash_covers_time_and_body(vendor, context, httpserver):
    seen = []
    httpserver.expect_request("/things").respond_with_handler(
        lambda request: seen.append((request.headers["X-Sig"], request.get_data())) or Response()
    )
    vendor({"signing_key": "k"}, auth={"type": "hmac", "header": "X-Sig"}).call("put", context, json={"a": "{é}"})
    ((header, body),) = seen
    assert header == f"t=1767225600,v1={hmac.new(b'k', b'1767225600.' + body, hashlib.sha256).hexdigest()}"


@pytest.mark.parametrize("client", ["body", "basic"])
def test_client_credentials_are_asked_for_once_and_sent_where_the_vendor_wants_them(vendor, context, issuer, client):
    api = oauth(vendor, "oauth2_client_credentials", CLIENT, client=client, params={"scope": "x y"})
    assert [api.call("get", context).action for _ in range(3)] == [Action.OK] * 3
    (form,) = issuer.forms
    assert (form["grant_type"], form["scope"]) == ("client_credentials", "x y")
    assert ("client_secret" in form) is (client == "body")
    assert form["basic"] == ("" if client == "body" else f"Basic {base64.b64encode(b'me:s3cret').decode()}")


def test_a_jwt_is_signed_as_the_vendor_can_verify(vendor, context, issuer):
    key = "a shared key of at least thirty-two bytes"
    auth = {"algorithm": "HS256", "claims": {"iss": "{client_id}", "aud": "https://login.example"}}
    api = oauth(vendor, "jwt_bearer", {"client_id": "me", "private_key": key}, **auth)
    assert api.call("get", context).action is Action.OK
    (form,) = issuer.forms
    claims = jwt.decode(form["assertion"], key, ["HS256"], audience="https://login.example", options={"verify_exp": False, "verify_iat": False})
    assert (claims["iss"], claims["exp"]) == ("me", NOW + 180)
    assert "client_secret" not in form


def test_a_key_that_is_none_is_a_configuration_error_that_does_not_show_it(vendor, context, issuer):
    with pytest.raises(ConfigError, match="private key") as error:
        oauth(vendor, "jwt_bearer", {"private_key": "canary"}, claims={"iss": "x"}).call("get", context)
    assert "canary" not in str(error.value)


def test_a_token_is_renewed_before_it_ends(vendor, context, clock, issuer):
    api = oauth(vendor)
    for at in (0, 799, 801, 1_590):
        clock.time = NOW + at
        assert api.call("get", context).action is Action.OK
    assert issuer.calls == ["Bearer a1", "Bearer a1", "Bearer a2", "Bearer a2"]


def test_a_401_renews_once_and_repeats_even_what_must_not_be_doubled(vendor, context, issuer):
    api = oauth(vendor)
    api.call("get", context)
    issuer.access = "revoked"
    assert api.call("post", context).action is Action.OK
    assert issuer.calls[-2:] == ["Bearer a1", "Bearer a2"]


def test_a_401_after_a_renewal_is_the_users_problem(vendor, context, httpserver):
    issuer = Issuer(httpserver)
    api = oauth(vendor)
    httpserver.clear()
    httpserver.expect_request("/token").respond_with_handler(issuer._issue)
    httpserver.expect_request("/things").respond_with_data("{}", 401)
    with pytest.raises(ConfigError, match="http 401"):
        api.call("get", context)
    assert len(issuer.forms) == 2


def test_a_rotated_refresh_token_survives_the_process(vendor, context, clock, issuer):
    for number in range(1, 4):
        assert oauth(vendor).call("get", context).action is Action.OK
        clock.time += 1_000
        assert len(issuer.forms) == number
    assert [form["refresh_token"] for form in issuer.forms] == ["r0", "r1", "r2"]


def test_a_new_refresh_token_in_the_configuration_replaces_what_was_kept(vendor, context, clock, issuer):
    oauth(vendor).call("get", context)
    issuer.refresh, clock.time = "again", NOW + 1_000
    assert oauth(vendor, secrets=CLIENT | {"refresh_token": "again"}).call("get", context).action is Action.OK


def test_a_refused_refresh_token_is_told_in_the_standards_words_only(vendor, context, issuer):
    with pytest.raises(ConfigError, match=r"invalid_grant \(http 400\) \(sign in again") as error:
        oauth(vendor, secrets=CLIENT | {"refresh_token": "used"}).call("get", context)
    assert "canary" not in str(error.value)


def test_an_issuer_that_is_down_for_a_while_is_waited_for(vendor, context, clock, issuer):
    issuer.failures = [503, 500]
    assert oauth(vendor).call("post", context).action is Action.OK
    assert len(clock.slept) == 2


def test_threads_share_one_renewal(vendor, context, issuer):
    api = oauth(vendor)
    threads = [threading.Thread(target=api.call, args=("get", context)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(issuer.forms) == 1
    assert issuer.calls == ["Bearer a1"] * 8


def _call(base_url, home, out):
    endpoints = {"get": {"path": "/things"}}
    auth = {"type": "oauth2_refresh", "token_url": "/token"}
    spec = HttpSpec.model_validate({"base_url": base_url, "auth": auth, "endpoints": endpoints, "rules": [{"status": 401, "do": "REFRESH_TOKEN"}]})
    context = Context(datetime.fromtimestamp(NOW, UTC), home, home)
    out.put(Api(spec, CLIENT | {"refresh_token": "r0"}).call("get", context).action.value)


def test_processes_share_one_renewal(httpserver, tmp_path):
    issuer = Issuer(httpserver)
    spawn = multiprocessing.get_context("spawn")
    out = spawn.Queue()
    processes = [spawn.Process(target=_call, args=(httpserver.url_for(""), tmp_path, out)) for _ in range(3)]
    for process in processes:
        process.start()
    assert [out.get(timeout=60) for _ in processes] == ["OK"] * 3
    for process in processes:
        process.join()
    assert [form["refresh_token"] for form in issuer.forms] == ["r0"]


def _hold(file, held):
    def wait(_):
        held.set()
        signal.pause()

    TokenStore(file).renewed(None, wait)


def test_a_process_killed_while_it_renews_leaves_no_lock_and_no_half_token(tmp_path):
    spawn = multiprocessing.get_context("spawn")
    file, held = tmp_path / "token.sqlite", spawn.Event()
    process = spawn.Process(target=_hold, args=(file, held))
    process.start()
    assert held.wait(60)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    store = TokenStore(file)
    assert store.current() is None
    assert store.renewed(None, lambda _: Token("a", NOW, "r")).version == 1


def test_what_the_issuer_gave_is_on_the_disk_before_anybody_has_it(tmp_path):
    file = tmp_path / "deep" / "token.sqlite"
    store = TokenStore(file)
    token = store.renewed(None, lambda held: Token("a1", NOW, "r1"))
    assert TokenStore(file).current() == token
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    kept = store.renewed(1, lambda held: Token("a2", NOW, None))
    assert (kept.refresh, kept.version) == ("r1", 2)
    assert store.renewed(1, lambda held: pytest.fail("somebody renewed it already")) == kept


def test_a_renewal_that_fails_changes_nothing(tmp_path):
    store = TokenStore(tmp_path / "token.sqlite")
    token = store.renewed(None, lambda held: Token("a", NOW, "r"))
    with pytest.raises(ZeroDivisionError):
        store.renewed(1, lambda held: 1 / 0)
    assert store.current() == token


def test_tokens_are_not_shown():
    assert "canary" not in repr(Token("canary", NOW, "canary"))


def test_a_token_may_lead_to_another_host_only_if_the_spec_allows_it(vendor, context, httpserver):
    issued = {"access_token": "a", "instance_url": "https://eu7.vendor.example"}
    httpserver.expect_request("/token").respond_with_json(issued)
    api = oauth(vendor, "oauth2_client_credentials", CLIENT, base_url_from="instance_url")
    with pytest.raises(ConfigError, match="another host"):
        api.call("get", context)
    local = {"access_token": "a", "instance_url": httpserver.url_for("/eu7").replace("localhost", "127.0.0.1")}
    httpserver.clear()
    httpserver.expect_request("/token").respond_with_json(local)
    httpserver.expect_request("/eu7/things").respond_with_data("{}")
    allowed = api.spec.with_overrides({"hosts": ["127.0.0.1"]})
    assert Api(allowed, CLIENT | {"x": "another credential"}).call("get", context).action is Action.OK
