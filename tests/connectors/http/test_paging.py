"""All pages, each once, and no page for ever."""

import json

import pytest
from werkzeug import Request, Response

from connectors.errors import SourceError

ROWS = list(range(10))


@pytest.fixture
def listing(vendor, context, httpserver):
    """Reads /things with a paging; the server cuts ROWS into pages of 4 as `cut(request, page)` says."""

    def read(paging, cut, method="GET", **given):
        seen = []

        def answer(request: Request) -> Response:
            seen.append(request)
            request.get_data()
            start, body, headers = cut(request)
            return Response(json.dumps({"results": ROWS[start : start + 4], **body}), headers=headers)

        httpserver.expect_request("/things").respond_with_handler(answer)
        endpoint = {"path": "/things", "method": method, "idempotency": "A", "paging": {"items": "$.results", **paging}}
        pages = [rows for rows, _ in vendor(endpoints={"list": endpoint}).pages("list", context, **given)]
        return [row for rows in pages for row in rows], seen

    return read


def following(start):
    return start + 4 if start + 4 < len(ROWS) else None


def test_a_cursor_goes_back_in_the_query(listing):
    def cut(request):
        start = int(request.args.get("after", 0))
        after = following(start)
        return start, {"paging": {"next": {"after": str(after)}}} if after else {}, {}

    rows, seen = listing({"type": "cursor", "next": "$.paging.next.after", "param": "after"}, cut, query={"limit": "4"})
    assert rows == ROWS
    assert [(r.args.get("limit"), r.args.get("after")) for r in seen] == [("4", None), ("4", "4"), ("4", "8")]


def test_a_cursor_goes_back_in_the_body(listing):
    def cut(request):
        start = int(json.loads(request.get_data())["after"])
        return start, {"after": following(start)}, {}

    rows, seen = listing({"type": "cursor", "next": "$.after", "param": "after", "place": "body"}, cut, "POST", json={"after": "0", "q": 1})
    assert rows == ROWS
    assert [json.loads(r.get_data())["q"] for r in seen] == [1, 1, 1]


def test_a_token_may_come_with_a_flag_or_in_a_header(listing, httpserver):
    def flagged(request):
        start = int(request.args.get("token", 0))
        return start, {"token": str(start + 4), "more": bool(following(start))}, {}

    assert listing({"type": "token", "next": "$.token", "more": "$.more", "param": "token"}, flagged)[0] == ROWS
    httpserver.clear()

    def in_header(request):
        start = int(request.args.get("locator", 0))
        return start, {}, {"Sforce-Locator": str(following(start) or "null")}

    assert listing({"type": "token", "header": "Sforce-Locator", "param": "locator"}, in_header)[0] == ROWS
    httpserver.clear()

    def goes_back_in_a_header(request):
        start = int(request.headers.get("X-Continuation", 0))
        return start, {"continuation": following(start)}, {}

    paging = {"type": "token", "next": "$.continuation", "param": "X-Continuation", "place": "header"}
    assert listing(paging, goes_back_in_a_header)[0] == ROWS


def test_links_are_followed_from_the_body_and_from_the_header(listing, httpserver):
    def in_body(request):
        start = int(request.args.get("start", 0))
        return start, {"next": f"/things?start={following(start)}" if following(start) else None}, {}

    assert listing({"type": "next_link", "next": "$.next"}, in_body)[0] == ROWS
    httpserver.clear()

    def in_header(request):
        start = int(request.args.get("start", 0))
        links = f'<{request.base_url}?start=0>; rel="first"'
        if after := following(start):
            links += f', <{request.base_url}?start={after}>; title="x"; rel="last next"'
        return start, {}, {"Link": links}

    assert listing({"type": "next_link"}, in_header)[0] == ROWS


def test_links_may_begin_below_the_base_address(vendor, context, httpserver):
    httpserver.expect_request("/org/things", query_string="p=2").respond_with_json({"results": [2], "next": None})
    httpserver.expect_request("/org/things").respond_with_json({"results": [1], "next": "/things?p=2"})
    paging = {"type": "next_link", "next": "$.next", "items": "$.results", "below_base": True}
    api = vendor(base_url=httpserver.url_for("/org"), endpoints={"list": {"path": "/things", "paging": paging}})
    assert [row for rows, _ in api.pages("list", context) for row in rows] == [1, 2]


def test_offsets_and_numbers_count_up(listing, httpserver):
    assert listing({"type": "offset", "size": 4}, lambda r: (int(r.args["offset"]), {}, {}))[0] == ROWS
    httpserver.clear()
    assert listing({"type": "page"}, lambda r: (4 * int(r.args["page"]) - 4, {}, {}))[0] == ROWS
    httpserver.clear()
    rows, seen = listing({"type": "page", "start": 0, "pages": "$.pages"}, lambda r: (4 * int(r.args["page"]), {"pages": 3}, {}))
    assert (rows, len(seen)) == (ROWS, 3)


def test_a_circle_is_an_error_and_not_an_endless_run(listing):
    with pytest.raises(SourceError, match="circle"):
        listing(
            {"type": "cursor", "next": "$.after", "param": "after"}, lambda r: (0, {"after": {"a": "b", "b": "a"}.get(r.args.get("after"), "a")}, {})
        )


def test_too_many_pages_are_an_error(listing):
    with pytest.raises(SourceError, match="more than 5 pages"):
        listing({"type": "page", "max_pages": 5}, lambda r: (0, {}, {}))


@pytest.mark.parametrize(
    "link", ["https://evil.example/things", "//evil.example/", "http://user:pass@localhost/", "file:///etc/passwd", "http://[bad"]
)
def test_a_link_to_another_host_is_not_followed(listing, link):
    with pytest.raises(SourceError, match="another host") as error:
        listing({"type": "next_link", "next": "$.next"}, lambda r: (0, {"next": link}, {}))
    assert "evil" not in str(error.value)
