"""Talking HTTP to a vendor: declared in a spec, done by one client.

| module | what it knows |
|---|---|
| `spec` | `HttpSpec`: a vendor's addresses, limits and rules, as data |
| `api` | `Api`: calls an endpoint: budget, token, exchange, rules, waiting, paging |
| `delivery` | from operations to outcomes: batches, halves, one outcome each |
| `client` | one exchange; the only importer of httpx |
| `rules`, `jsonpath` | what an answer means |
| `auth`, `tokens` | signing in and staying signed in |
| `budgets`, `waits` | rate limits and waits |
| `paging` | from one page to the next |
| `redact` | keeping secrets and persons out of texts |
"""

from connectors.http.api import Api, Reply
from connectors.http.delivery import Containers, Row, as_outcome, check_object, check_reply, deliver_rows, deliver_turns, row_text, rows_of
from connectors.http.rules import Action
from connectors.http.spec import HttpSpec, load_spec

__all__ = [
    "Action",
    "Api",
    "Containers",
    "HttpSpec",
    "Reply",
    "Row",
    "as_outcome",
    "check_object",
    "check_reply",
    "deliver_rows",
    "deliver_turns",
    "load_spec",
    "row_text",
    "rows_of",
]
