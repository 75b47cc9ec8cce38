"""The built-in kinds: one table of them, and for each what its objects look like."""

from signal_gateway.apiserver.kinds.namespaces import INITIAL_NAMESPACES, NAMESPACES
from signal_gateway.apiserver.kinds.reviews import REVIEWS
from signal_gateway.apiserver.kinds.table import BUILTIN

__all__ = ["BUILTIN", "INITIAL_NAMESPACES", "NAMESPACES", "REVIEWS"]
