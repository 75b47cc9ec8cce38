"""Serve an ASGI app on a listening socket, and stop it without polling."""
