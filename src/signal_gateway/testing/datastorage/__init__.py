"""DataStorage for tests, and the last delivery to it."""
