"""A vendor's specification as a judge of requests and answers. The specifications lie beside the checkout and are never part of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx
import yaml
from openapi_schema_validator import OAS30Validator, OAS31Validator, oas30_format_checker, oas31_format_checker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4, DRAFT202012

SPECS = Path(__file__).parents[3] / ".." / "shared" / "vendors" / "specs"
ABSENT = "the vendors' specifications are not part of this repository; put them into ../shared/vendors/specs"
METHODS = ("get", "put", "post", "patch", "delete")


@dataclass(frozen=True)
class Document:
    """One file of a specification.

    Args:
        path: below `SPECS`.
        base: what stands before its paths on the stand-in.
        inside: where in an answer that succeeds the thing stands that the document describes; "" for the answer itself.
    """

    path: str
    base: str = ""
    inside: str = ""


DOCUMENTS: Mapping[str, Sequence[Document]] = {
    "hubspot": [
        Document(f"hubspot/{name}.{version}.json") for version in ("2026-03", "2026-09", "v3") for name in ("contacts", "lists", "properties")
    ]
    + [Document(f"hubspot/oauth.{version}.json") for version in ("v3", "2026-03", "2026-09")],
    "salesforce": [Document("salesforce/salesforce-core.authored-openapi.yaml")],
    "braze": [Document("braze/braze-users.strict.derived-openapi.json"), Document("braze/braze-community-openapi.json")],
    "marketo": [
        Document("marketo/prism-ready/swagger-mapi.strict.derived.json"),
        Document("marketo/swagger-identity.json"),
        Document("marketo/swagger-asset.json"),
    ],
    "customerio": [
        Document("customerio/customer-io-track-api-openapi.json"),
        Document("customerio/customer-io-app-api.segments-subset.transcribed.json"),
    ],
    "onetrust": [
        Document("onetrust/consent-preferences-universal-consent-preference-management-oas.json"),
        Document("onetrust/consent-preferences-consent-receipts.json", "/request/v1"),
    ],
    "people_data_labs": [Document("people-data-labs/peopledatalabs-docs-openapi.json", inside="data")],
}
"""The files that judge each stand-in; of several that know a path, the first."""
DEVIATIONS: Mapping[str, str] = {
    "answer 200: birth_year": "People Data Labs: the document calls a year a date; a year is a whole number here",
    "answer 200: : 'email,city": "Marketo: the document calls an export's file an object; it is the CSV text",
    "answer: success 206": "Marketo: the document knows the Range header of an export's file, but not the status it leads to",
    "answer: status": "documents list some failures only; which there are besides stands in the vendors' docs on errors",
}
"""Faults that are none, by what they begin with, and why. docs/sandbox.md lists them for readers."""


class Operation:
    """One method of one path: what it takes and what it answers."""

    def __init__(self, content: Specification, path: str, method: str) -> None:
        self._content = content
        item = content.tree["paths"][path]
        self._operation = item[method]
        self._parameters = [content.resolved(one) for one in [*item.get("parameters", []), *self._operation.get("parameters", [])]]

    def request_faults(self, query: str, headers: Mapping[str, str], body: bytes, content_type: str) -> Iterator[str]:
        """What is wrong with a request that was taken."""
        given: dict[str, Mapping[str, str]] = {"query": dict(parse_qsl(query, keep_blank_values=True)), "header": headers}
        for one in self._parameters:
            if one["in"] not in given:
                continue
            value = given[one["in"]].get(one["name"] if one["in"] == "query" else one["name"].lower())
            if value is None and one.get("required"):
                yield f"request: {one['in']} parameter {one['name']} is missing"
            elif value is not None:
                yield from (
                    f"request: {one['name']}: {fault}" for fault in self._content.faults(_plain(one, value), one.get("schema", _swagger(one)))
                )
        schema = self._body_schema(content_type)
        if schema is not None and (body or not self._body_may_be_absent()):
            yield from (f"request body: {fault}" for fault in self._content.faults(_decoded(body, content_type), schema))

    def _body_may_be_absent(self) -> bool:
        return any(one["in"] == "body" and not one.get("required") for one in self._parameters)

    def answer_faults(self, status: int, body: bytes, content_type: str) -> Iterator[str]:
        """What is wrong with an answer."""
        answers = self._operation["responses"]
        answer = answers.get(str(status)) or answers.get(status) or answers.get("default")
        if answer is None:
            yield f"answer: {'status' if status >= 400 else 'success'} {status} is not one of {', '.join(map(str, answers))}"
            return
        answer = self._content.resolved(answer)
        schema = answer.get("schema") or _schema_of(answer.get("content", {}), content_type)
        if schema is not None:
            content = _decoded(body, content_type)
            if self._content.inside and status == 200:
                content = content[self._content.inside]
            yield from (f"answer {status}: {fault}" for fault in self._content.faults(content, schema))

    def _body_schema(self, content_type: str) -> Any:
        for one in self._parameters:
            if one["in"] == "body":
                return one["schema"]
        if "requestBody" not in self._operation:
            return None
        return _schema_of(self._content.resolved(self._operation["requestBody"]).get("content", {}), content_type)


class Specification:
    """One document, with the pieces it refers to."""

    def __init__(self, document: Document) -> None:
        text = (SPECS / document.path).read_text(encoding="utf-8")
        self.tree: dict[str, Any] = yaml.safe_load(text) if document.path.endswith("yaml") else json.loads(text)
        self._base, self.inside = document.base, document.inside
        modern = str(self.tree.get("openapi", "2")).startswith("3.1")
        self._validator, self._formats = (OAS31Validator, oas31_format_checker) if modern else (OAS30Validator, oas30_format_checker)
        self._registry = Registry().with_resource("spec:", Resource(self.tree, DRAFT202012 if modern else DRAFT4))

    @cached_property
    def _templates(self) -> list[tuple[re.Pattern[str], str]]:
        """Paths as patterns, those without parameters first."""
        paths = sorted(self.tree["paths"], key=lambda path: path.count("{"))
        parts = [re.split(r"\{[^}]+\}", path.split("?")[0]) for path in paths]
        return [(re.compile(self._base + "[^/]+".join(map(re.escape, some))), path) for some, path in zip(parts, paths, strict=True)]

    def operation(self, method: str, path: str) -> Operation | None:
        """What the document says on a request, or None where it says nothing."""
        for pattern, template in self._templates:
            if pattern.fullmatch(path) and method.lower() in self.tree["paths"][template]:
                return Operation(self, template, method.lower())
        return None

    def resolved(self, piece: Any) -> Any:
        """A piece, or what it refers to."""
        return self._registry.resolver("spec:").lookup(piece["$ref"]).contents if "$ref" in piece else piece

    def faults(self, value: Any, schema: Any) -> Iterator[str]:
        """Where a value does not fit a schema; the first few."""
        absolute = json.loads(json.dumps(schema).replace('"$ref": "#', '"$ref": "spec:#'))
        validator = self._validator(absolute, registry=self._registry, format_checker=self._formats)
        for error, _ in zip(validator.iter_errors(value), range(3), strict=False):
            yield f"{'/'.join(map(str, error.absolute_path))}: {error.message[:200]}"


@lru_cache
def documents(vendor: str) -> tuple[Specification, ...]:
    """A vendor's documents; none where they are absent."""
    return tuple(Specification(one) for one in DOCUMENTS.get(vendor, ())) if SPECS.is_dir() else ()


class Judge:
    """Looks at exchanges with one stand-in and gathers what its vendor's specification does not allow.

    Args:
        vendor: the stand-in's name.
        root: path of the stand-in on its server.
    """

    def __init__(self, vendor: str, root: str) -> None:
        self.faults: list[str] = []
        self._documents, self._root = documents(vendor), root
        self._seen: dict[tuple[str, int], int] = {}

    def look(self, response: httpx.Response) -> None:
        """Judges an answer, and the request if it was taken. Of exchanges alike only the first few."""
        request = response.request
        path = request.url.raw_path.decode().split("?")[0].removeprefix(self._root)
        alike = (f"{request.method} {path}", response.status_code)
        self._seen[alike] = self._seen.get(alike, 0) + 1
        operation = next((found for one in self._documents if (found := one.operation(request.method, path))), None)
        if operation is None or self._seen[alike] > 3:
            return
        response.read()
        found = list(operation.answer_faults(response.status_code, response.content, response.headers.get("content-type", "")))
        if response.is_success and not _refused_inside(response):
            given = {name.lower(): value for name, value in request.headers.items()}
            query = request.url.query.decode()
            found += operation.request_faults(query, given, request.content, given.get("content-type", ""))
        found = [fault for fault in found if not fault.startswith(tuple(DEVIATIONS))]
        self.faults += [f"{request.method} {path} -> {response.status_code}: {fault}" for fault in found]


def _refused_inside(response: httpx.Response) -> bool:
    """Whether a success says inside that the request was not taken, or not all of it."""
    return response.status_code == 207 or any(mark in response.content for mark in (b'"success":false', b'"errors":[{', b'"reasons":', b'"status":4'))


def _schema_of(content: Mapping[str, Any], content_type: str) -> Any:
    kind = content_type.partition(";")[0]
    found = content.get(kind) or content.get("*/*")
    return found.get("schema") if found else None


def _decoded(body: bytes, content_type: str) -> Any:
    if "json" in content_type:
        return json.loads(body)
    if "urlencoded" in content_type:
        return {name: json.loads(value) if value.startswith("{") else value for name, value in parse_qsl(body.decode())}
    return body.decode()


def _swagger(parameter: Mapping[str, Any]) -> dict[str, Any]:
    """A Swagger 2 parameter's own schema."""
    return {name: parameter[name] for name in ("type", "format", "enum", "items", "minimum", "maximum", "pattern") if name in parameter}


def _plain(parameter: Mapping[str, Any], value: str) -> Any:
    """A parameter's text as the type its schema wants, where it can be."""
    match parameter.get("schema", parameter).get("type"):
        case "integer" if value.lstrip("-").isdecimal():
            return int(value)
        case "boolean" if value in {"true", "false"}:
            return value == "true"
        case "array":
            inner = parameter.get("schema", parameter).get("items", {})
            return [_plain(inner, one) for one in value.split(",")]
    return value
