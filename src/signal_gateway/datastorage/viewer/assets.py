"""Assets: the static files of the viewer, each at a URL with the hash of its content."""

from hashlib import sha256
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

__all__ = ["Assets"]

_MEDIA_TYPES = {"viewer.css": "text/css", "viewer.js": "text/javascript", "icon.svg": "image/svg+xml"}


class Assets:
    """The static files, read once. A changed file has a new URL, so browsers may cache each URL forever."""

    def __init__(self) -> None:
        directory = files(__name__.rpartition(".")[0]) / "static"
        self._contents = {name: (directory / name).read_bytes() for name in _MEDIA_TYPES}
        self._urls = {name: _url(name, content) for name, content in self._contents.items()}

    def url(self, name: str) -> str:
        """Return the URL of a file, relative to every page of the viewer."""
        return self._urls[name]

    def routes(self) -> list[Route]:
        """Return a route for each file, without path parameters."""
        return [self._route(name) for name in self._contents]

    def _route(self, name: str) -> Route:
        async def serve(_request: Request) -> Response:
            return Response(
                self._contents[name],
                media_type=_MEDIA_TYPES[name],
                headers={"Cache-Control": "public, max-age=31536000, immutable"},
            )

        return Route(f"/{self._urls[name]}", serve, methods=["GET"])


def _url(name: str, content: bytes) -> str:
    stem, _, suffix = name.partition(".")
    return f"static/{stem}.{sha256(content).hexdigest()[:16]}.{suffix}"
