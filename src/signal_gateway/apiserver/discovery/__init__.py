"""Discovery documents and OpenAPI v3.

- `discovery`: versions, groups and resources; version and health of the server.
- `aggregated`: the same in one document.
- `openapi`: OpenAPI v3 documents, one for each group and version.
- `openapi_schemas`: schemas of the built-in kinds.
"""
