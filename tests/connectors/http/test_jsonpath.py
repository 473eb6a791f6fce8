"""The supported part of RFC 9535, by its own examples."""

import pytest

from connectors.http.jsonpath import parse

STORE = {
    "book": [
        {"category": "reference", "author": "Nigel Rees", "price": 8.95},
        {"category": "fiction", "author": "Evelyn Waugh", "price": 12.99, "isbn": None},
        {"category": "fiction", "author": "J. R. R. Tolkien", "isbn": "0-395-19395-8"},
    ],
    "odd name": {"a]b": 1},
    "flag": False,
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$", [STORE]),
        ("$.book[*].author", ["Nigel Rees", "Evelyn Waugh", "J. R. R. Tolkien"]),
        ("$.book[-1].author", ["J. R. R. Tolkien"]),
        ("$.book[7]", []),
        ("$.book.author", []),
        ("$.nothing[*].at.all", []),
        ("$['odd name'].*", [1]),
        ("$['odd name']['a]b']", [1]),
        ("$.flag", [False]),
        ("$.book[?@.category == 'fiction'].author", ["Evelyn Waugh", "J. R. R. Tolkien"]),
        ("$.book[?@.category != 'fiction'].author", ["Nigel Rees"]),
        ("$.book[?@.isbn].author", ["Evelyn Waugh", "J. R. R. Tolkien"]),
        ("$.book[?!@.isbn].author", ["Nigel Rees"]),
        ("$.book[?@.isbn == null].author", ["Evelyn Waugh"]),
        ("$.book[?@.price == 8.95].author", ["Nigel Rees"]),
        ("$[?@[0].price == 8.95]", [STORE["book"]]),
    ],
)
def test_a_path_finds_what_the_standard_says(path, found):
    assert parse(path).find(STORE) == found


def test_places_are_those_of_the_list_even_behind_a_filter():
    assert list(parse("$.book[?@.category == 'fiction'].author").located(STORE)) == [(1, "Evelyn Waugh"), (2, "J. R. R. Tolkien")]


def test_places_in_an_object_are_its_names():
    assert list(parse("$[?@.ok == true].n").located({"a": {"ok": True, "n": 1}, "b": {"ok": False, "n": 2}})) == [("a", 1)]


@pytest.mark.parametrize("path", ["", "book", "$book", "$.", "$..book", "$.a[1:2]", "$.a[?@.b > 1]", "$.a[?!@.b == 1]", "$.a[?@.b == x]", 3, None])
def test_what_is_not_supported_is_refused_when_it_is_read(path):
    with pytest.raises(ValueError, match=r"JSONPath|literal|filter"):
        parse(path)
