"""The OpenAPI document: whole, valid, and true."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator

from tests.gateway.stand import Gateway

PROBLEM = {"schema": {"$ref": "#/components/schemas/Problem"}}
VERBS = {"get", "post"}


async def document_of(gateway: Gateway) -> dict[str, Any]:
    answer = await gateway.http.get("/openapi.json")
    assert answer.status_code == 200
    document: dict[str, Any] = answer.json()
    return document


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        assert set(item) <= VERBS
        for verb, operation in item.items():
            yield f"{verb} {path}", operation


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


async def test_the_document_is_whole_and_every_schema_in_it_is_valid(alone: Gateway) -> None:
    document = await document_of(alone)
    assert document["openapi"].startswith("3.1.")
    assert {"title", "version", "description"} <= set(document["info"])
    schemas = document["components"]["schemas"]
    for reference in references(document):
        prefix, _, name = reference.rpartition("/")
        assert prefix == "#/components/schemas"
        assert name in schemas
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)
    assert not {"HTTPValidationError", "ValidationError"} & set(schemas)


async def test_each_operation_says_what_it_does_and_which_errors_it_gives(alone: Gateway) -> None:
    document = await document_of(alone)
    tags = {tag["name"] for tag in document["tags"]}
    ids = [operation["operationId"] for _, operation in operations(document)]
    assert len(ids) == len(set(ids))
    for name, operation in operations(document):
        assert operation["summary"], name
        assert operation["description"], name
        assert set(operation["tags"]) <= tags, name
        assert "200" in operation["responses"], name
        errors = {
            status: answer for status, answer in operation["responses"].items() if status >= "400"
        }
        assert "500" in errors, name
        for answer in errors.values():
            assert answer["content"] == {"application/problem+json": PROBLEM}, name


async def test_operations_that_need_a_token_say_so_and_the_others_do_not(alone: Gateway) -> None:
    document = await document_of(alone)
    for name, operation in operations(document):
        path = name.split()[1]
        needs = path.startswith("/v1/") and not path.startswith("/v1/partners")
        assert ("security" in operation) == needs, name
        assert ("401" in operation["responses"]) == (needs or "/events" in name), name
    assert document["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"


async def test_the_bodies_of_actions_have_no_field_for_the_actor(alone: Gateway) -> None:
    document = await document_of(alone)
    for verb in ("approve", "deny", "cancel", "resolve"):
        path = f"/v1/payments/{{payment_id}}/{verb}"
        body = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        schema = document["components"]["schemas"][body["schema"]["$ref"].rpartition("/")[2]]
        assert "by" not in schema["properties"]
        assert schema["additionalProperties"] is False
