"""Live servers: any ASGI application on a real socket, on the event loops of the harness.

- `cleanup`: runs every step of a teardown
- `loops`: the two event loops, each on a daemon thread
- `host`: the servers of one test process, their time limits and their number
- `server`: `LiveServer`, one application on one socket
- `tasks`: the asyncio tasks that a server and its application start
- `exchanges`: the last requests and responses of a server
- `metrics`: reads the metrics of a registry
"""
