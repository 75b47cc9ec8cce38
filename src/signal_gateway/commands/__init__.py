"""The commands of the command line, one module per group. `signal_gateway.cli` registers them.

`event_lines`, `output`, `query` and `times` (shared by commands), `gateway`, `datastorage`,
`apiserver`, `audit`, `cases`, `follow`, `tail`, `integrity`, `spool`, `targets`.
"""
