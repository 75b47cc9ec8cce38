"""DataStorage over HTTP."""
