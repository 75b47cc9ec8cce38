"""What OpenAPI 3.1 descriptions have in common, whatever they describe."""

from collections.abc import Iterable, Mapping
from inspect import cleandoc
from typing import Any

from pydantic import TypeAdapter

from signal_gateway.web.json_body import JSON
from signal_gateway.web.problem import PROBLEM_JSON

__all__ = ["REFERENCE", "Schema", "answer_schemas", "first_lines", "operation", "ref"]

Schema = dict[str, Any]

REFERENCE = "#/components/schemas/{model}"
"""Where a model's schema stands, as pydantic's `ref_template`."""


def operation(
    name: str,
    summary: str,
    *,
    answers: Mapping[int, tuple[str, Schema, str]],
    refusals: Mapping[int, str] = {},
    parameters: list[Schema] | None = None,
    body: Schema | None = None,
    security: list[Schema] | None = None,
) -> Schema:
    """Describe an operation.

    Args:
        name: Its `operationId`.
        summary: One sentence.
        answers: Media type, schema and description by status.
        refusals: Descriptions of the statuses that come with a problem; one may be among the answers, too.
        parameters: Those of the URL.
        body: The schema of a body as JSON.
        security: What its callers need, if that is asked for.
    """
    responses = {
        status: {"description": description, "content": {media_type: {"schema": schema}}}
        for status, (media_type, schema, description) in answers.items()
    }
    for status, description in sorted(refusals.items()):
        response: Schema = responses.setdefault(status, {"description": description, "content": {}})
        response["content"][PROBLEM_JSON] = {"schema": ref("Problem")}
    described: Schema = {
        "operationId": name,
        "summary": summary,
        "responses": {str(status): response for status, response in responses.items()},
    }
    if security is not None:
        described["security"] = security
    if parameters is not None:
        described["parameters"] = parameters
    if body is not None:
        described["requestBody"] = {"required": True, "content": {JSON: {"schema": body}}}
    return described


def answer_schemas(answers: Iterable[type]) -> Schema:
    """Return the schemas of what is answered by the names of the types, and of what these consist of.

    Args:
        answers: Dataclasses or TypedDicts.
    """
    adapters: list[Any] = [(answer.__name__, "serialization", TypeAdapter(answer)) for answer in answers]
    _, definitions = TypeAdapter.json_schemas(adapters, ref_template=REFERENCE)
    schemas: Schema = definitions["$defs"]
    for schema in schemas.values():
        schema["description"] = first_lines(schema["description"])
    return schemas


def first_lines(docstring: str) -> str:
    """Return the first paragraph of a docstring as one line."""
    return " ".join(cleandoc(docstring).partition("\n\n")[0].split())


def ref(name: str) -> Schema:
    """Return the reference to a schema among the components."""
    return {"$ref": REFERENCE.format(model=name)}
