"""The least that takes a webhook: Starlette on uvicorn, which reads the JSON and answers 201.

python -m tests.benchmarks.bare_app
"""

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from signal_gateway.web.serving.sockets import bind, url_of


async def receive(request: Request) -> Response:
    orjson.loads(await request.body())
    return Response(b'{"status":"created"}', 201, media_type="application/json")


app = Starlette(routes=[Route("/api/v1/signals/prometheus", receive, methods=["POST"])])


def main() -> None:
    """Serve until terminated."""
    sock = bind()
    print(url_of(sock), flush=True)
    config = uvicorn.Config(app, http="httptools", log_config=None, access_log=False, lifespan="off")
    uvicorn.Server(config).run(sockets=[sock])


if __name__ == "__main__":
    main()
