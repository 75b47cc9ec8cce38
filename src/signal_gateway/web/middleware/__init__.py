"""ASGI middleware that every service uses, outermost first.

- `standard`: request id, security headers, server errors, observation
- `body_limit`: size and time limit of a body
- `authentication`: credentials of a request
"""
