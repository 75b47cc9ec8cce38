"""`signal-gateway serve`: settings from a file and the environment, one process, one audit store, one loop."""
