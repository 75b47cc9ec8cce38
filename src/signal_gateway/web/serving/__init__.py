"""Serving of an ASGI app, from the listening socket to the stop.

- `sockets`: listening sockets
- `tls`: TLS context of a server
- `app_server`: the server
- `lifespan`: start-up and shutdown of the application
- `http_protocol`: HTTP/1.1 with limits for each connection
- `stop_signals`: SIGTERM and SIGINT
- `allocator`: free memory of the process
"""
