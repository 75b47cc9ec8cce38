"""ASGI middleware that every service uses."""
