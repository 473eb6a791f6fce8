"""One exchange and what is known after it, against servers that misbehave below HTTP."""

import socket
import threading
from contextlib import contextmanager

import pytest

from connectors.errors import ConfigError
from connectors.http.client import Ambiguous, Answered, Client, NeverSent


@contextmanager
def server(answer):
    """A server that reads one request, calls `answer(connection)` and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            connection, _ = listener.accept()
            with connection:
                connection.recv(1 << 16)
                answer(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/in?token=canary"
        thread.join()


def post(url, **options):
    return Client(**({"timeout": 5} | options)).exchange("POST", url, {}, b"{}")


def test_an_answer_has_status_headers_and_body():
    with server(lambda c: c.sendall(b"HTTP/1.1 418 Teapot\r\nX-Kind: Green\r\nContent-Length: 3\r\n\r\ntea")) as url:
        answer = post(url)
    assert isinstance(answer, Answered)
    assert (answer.status, answer.headers["x-kind"], answer.body) == (418, "Green", b"tea")


def test_a_redirect_is_an_answer_like_any_other():
    with server(lambda c: c.sendall(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n")) as url:
        assert post(url) == Answered(302, {"location": "http://127.0.0.1:1/", "content-length": "0"}, b"")


def test_a_refused_connection_was_never_sent():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}/?token=canary"
    assert post(url) == NeverSent("connect error")


def test_a_name_that_does_not_exist_was_never_sent():
    assert isinstance(post("https://no-such-host.invalid/"), NeverSent)


def test_a_server_that_hangs_up_without_a_word_is_ambiguous():
    with server(lambda c: None) as url:
        assert isinstance(post(url), Ambiguous)


def test_a_server_that_stays_silent_is_ambiguous():
    done = threading.Event()
    with server(lambda c: done.wait()) as url:
        assert post(url, timeout=0.2) == Ambiguous("read timeout")
        done.set()


def test_something_that_is_not_http_is_ambiguous():
    with server(lambda c: c.sendall(b"SSH-2.0-x\r\n")) as url:
        assert isinstance(post(url), Ambiguous)


def test_a_body_that_breaks_off_keeps_the_status():
    with server(lambda c: c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")) as url:
        answer = post(url)
    assert isinstance(answer, Answered)
    assert (answer.status, answer.body) == (200, None)


def test_a_body_that_is_too_large_is_not_read():
    with server(lambda c: c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + b"x" * 300_000)) as url:
        answer = post(url, max_answer=100_000)
    assert isinstance(answer, Answered)
    assert answer.body is None


def test_packed_nonsense_has_no_body():
    with server(lambda c: c.sendall(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc")) as url:
        answer = post(url)
    assert isinstance(answer, Answered)
    assert answer.body is None


def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with server(lambda c: c.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")) as url:
        assert isinstance(post(url), Answered)


def test_other_hosts_are_asked_through_the_proxy_of_the_environment(httpserver, monkeypatch):
    httpserver.expect_request("/in").respond_with_data("by proxy")
    monkeypatch.setenv("HTTP_PROXY", httpserver.url_for("").rstrip("/"))
    monkeypatch.setenv("NO_PROXY", "spared.invalid")
    answer = Client().exchange("GET", "http://vendor.invalid/in", {})
    assert isinstance(answer, Answered)
    assert answer.body == b"by proxy"
    assert isinstance(Client().exchange("GET", "http://spared.invalid/in", {}), NeverSent)


def test_cookies_of_an_answer_are_not_sent_back(httpserver):
    httpserver.expect_request("/", headers={"Cookie": "a=1"}).respond_with_data("known")
    httpserver.expect_request("/").respond_with_data("unknown", headers={"Set-Cookie": "a=1"})
    client = Client()
    answers = [client.exchange("GET", httpserver.url_for("/"), {}) for _ in range(2)]
    assert [one.body for one in answers if isinstance(one, Answered)] == [b"unknown", b"unknown"]


def test_a_name_with_half_a_character_does_not_spoil_an_answer():
    assert Answered(200, {}, b'{"name": "\\ud83d", "id": 1}').json == {"name": "\ud83d", "id": 1}


@pytest.mark.parametrize("url", ["nonsense", "ftp://x/?token=canary"])
def test_an_unusable_url_is_a_configuration_error_that_does_not_repeat_it(url):
    with pytest.raises(ConfigError) as error:
        post(url)
    assert "canary" not in str(error.value)


def test_a_header_that_can_not_be_written_is_a_configuration_error(httpserver):
    with pytest.raises(ConfigError) as error:
        Client().exchange("GET", httpserver.url_for("/"), {"X": "canary\r\nY: 1"})
    assert "canary" not in str(error.value)


def test_connections_are_reused(httpserver):
    httpserver.expect_request("/").respond_with_data("ok")
    client = Client()
    for _ in range(3):
        assert isinstance(client.exchange("GET", httpserver.url_for("/"), {}), Answered)
    client.close()
    assert isinstance(client.exchange("GET", httpserver.url_for("/"), {}), Answered)
