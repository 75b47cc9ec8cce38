"""The harness for direct import. Does not import pytest."""
