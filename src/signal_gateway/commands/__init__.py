"""The commands, a module for each group; `signal_gateway.cli` puts them together."""
