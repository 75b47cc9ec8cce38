"""The built-in kinds: their table, and defaults and validation for each.

Each API group has one module; `core` is a package.

- `builtin`: the table of all built-in kinds.
- `apps`, `autoscaling`, `batch`, `coordination`, `networking`, `policy`, `rbac`: the kinds of one API group.
- `core`: the kinds of the core group.
- `schema`: the models of the kinds, and the strategy that they share.
"""

from signal_gateway.apiserver.kinds.builtin import BUILTIN, REVIEWS
from signal_gateway.apiserver.kinds.core.namespaces import INITIAL_NAMESPACES, NAMESPACES

__all__ = ["BUILTIN", "INITIAL_NAMESPACES", "NAMESPACES", "REVIEWS"]
