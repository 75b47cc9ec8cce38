"""Parts of OpenAPI 3.1 documents that every service needs: operations, references and response schemas."""

from collections.abc import Iterable, Mapping
from inspect import cleandoc
from typing import Any

from pydantic import TypeAdapter

from signal_gateway.web.body import JSON
from signal_gateway.web.problem import PROBLEM_JSON

__all__ = ["REFERENCE", "Schema", "first_paragraph", "operation", "ref", "response_schemas"]

Schema = dict[str, Any]

REFERENCE = "#/components/schemas/{model}"
"""Location of a model's schema, as pydantic's `ref_template`."""


def operation(
    name: str,
    summary: str,
    *,
    responses: Mapping[int, tuple[str, Schema, str]],
    problems: Mapping[int, str] = {},
    parameters: list[Schema] | None = None,
    body: Schema | None = None,
    security: list[Schema] | None = None,
) -> Schema:
    """Describe an operation.

    Args:
        name: Its `operationId`.
        summary: One sentence.
        responses: Media type, schema and description by status.
        problems: Descriptions of the statuses with a problem as the body; `responses` may have the same status.
        parameters: The parameters of the URL.
        body: The schema of the JSON body.
        security: The security requirements; None if the service needs no credentials.
    """
    described_responses = {
        status: {"description": description, "content": {media_type: {"schema": schema}}}
        for status, (media_type, schema, description) in responses.items()
    }
    for status, description in sorted(problems.items()):
        response: Schema = described_responses.setdefault(status, {"description": description, "content": {}})
        response["content"][PROBLEM_JSON] = {"schema": ref("Problem")}
    described: Schema = {
        "operationId": name,
        "summary": summary,
        "responses": {str(status): response for status, response in described_responses.items()},
    }
    if security is not None:
        described["security"] = security
    if parameters is not None:
        described["parameters"] = parameters
    if body is not None:
        described["requestBody"] = {"required": True, "content": {JSON: {"schema": body}}}
    return described


def response_schemas(models: Iterable[type]) -> Schema:
    """Return the schemas of response models and of their parts, by the names of the types.

    Args:
        models: Dataclasses or TypedDicts.
    """
    adapters: list[Any] = [(model.__name__, "serialization", TypeAdapter(model)) for model in models]
    _, definitions = TypeAdapter.json_schemas(adapters, ref_template=REFERENCE)
    schemas: Schema = definitions["$defs"]
    for schema in schemas.values():
        schema["description"] = first_paragraph(schema["description"])
    return schemas


def first_paragraph(docstring: str) -> str:
    """Return the first paragraph of a docstring as one line."""
    return " ".join(cleandoc(docstring).partition("\n\n")[0].split())


def ref(name: str) -> Schema:
    """Return a reference to a schema of the components."""
    return {"$ref": REFERENCE.format(model=name)}
