"""Requests in, responses out: middleware, authentication, admission, signal endpoints, health, OpenAPI."""
