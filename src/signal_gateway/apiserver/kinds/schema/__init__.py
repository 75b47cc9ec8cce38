"""The form of the built-in kinds, read from generated models."""
