"""Live servers: any ASGI application on a real socket, on the event loops of the harness.

- `cleanup`: runs every step of a teardown
- `tasks`: the tasks of one server among all tasks of a loop
- `machine_loop`: an event loop with the clock of the machine, which tests cannot patch
- `blocked`: the application that blocks a loop, and its stack
- `running_loop`: one event loop on one daemon thread
- `loops`: the two shared event loops, replaced if they die or are blocked
- `host`: the servers of one test process, their time limits and their number
- `server`: `LiveServer`, one application on one socket
- `tasks`: the asyncio tasks that a server and its application start
- `exchanges`: the last requests and responses of a server
- `metrics`: reads the metrics of a registry
"""
