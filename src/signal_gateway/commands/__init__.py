"""The commands of the command line, one module per group. `signal_gateway.cli` registers them.

`output` and `query` (shared by commands), `gateway`, `datastorage`, `apiserver`, `audit`, `cases`, `follow`, `tail`,
`spool`, `targets`.
"""
