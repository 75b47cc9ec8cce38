"""ASGI middleware that every service uses, outermost first.

- `standard`: request id, security headers, server errors, observation
- `authentication`: credentials of a request
"""
