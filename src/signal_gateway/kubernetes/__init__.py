"""Typed access to a cluster."""
