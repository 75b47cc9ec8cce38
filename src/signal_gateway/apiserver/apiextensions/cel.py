"""CEL expressions of validation rules, compiled and evaluated by the optional library `cel-expr-python`."""

import functools
import re
from collections.abc import Mapping
from typing import Any, Final, Protocol

from signal_gateway.apiserver.apimachinery.status import StatusError, not_implemented

__all__ = ["CompileError", "EvaluationError", "compile_rule", "evaluate"]

_UNDECLARED: Final = re.compile(r"undeclared reference to '(\w+)'")
_KUBERNETES_FUNCTIONS: Final = frozenset(
    (
        *("isSorted", "sum", "min", "max", "find", "findAll"),
        *("isURL", "url", "getScheme", "getHost", "getHostname", "getPort", "getEscapedPath", "getQuery"),
        *("isIP", "ip", "isCIDR", "cidr", "quantity", "isQuantity", "isGreaterThan", "isLessThan"),
        *("semver", "isSemver", "format", "validate"),
    )
)
_MISSING: Final = re.compile(r'Key not found in map : "(.*)"')
_TIMES: Final = re.compile(r"\b(?:timestamp|duration)\(")
_INSTALL: Final = 'pip install "signal-gateway[cel]"'


class CompileError(Exception):
    """An expression is not valid CEL; the message has the position."""


class EvaluationError(Exception):
    """An expression has no value for its variables; the message has the reason."""


class Program(Protocol):
    """A compiled expression."""

    def eval(self, *, data: Mapping[str, Any]) -> Any:
        """Return the value of the expression for variables."""
        ...


@functools.cache
def compile_rule(expression: str) -> Program:
    """Compile an expression over `self` and `oldSelf`.

    The variables have no types: a real server rejects a rule that compares a number with a string, and here the rule
    fails for each object.

    Raises:
        CompileError: The expression is not valid.
        StatusError: 501 if it uses an unsupported feature, or the library is not installed.
    """
    if _TIMES.search(expression):
        raise not_implemented(f"times and durations in the validation rule {expression!r}")
    try:
        program: Program = _environment().compile(expression)
    except RuntimeError as exc:
        undeclared = _UNDECLARED.search(str(exc))
        if undeclared and undeclared[1] in _KUBERNETES_FUNCTIONS:
            raise not_implemented(f"the function {undeclared[1]} in the validation rule {expression!r}") from exc
        raise CompileError(str(exc).removeprefix("INVALID_ARGUMENT: ").partition("\n")[0]) from exc
    return program


def evaluate(expression: str, variables: Mapping[str, Any]) -> Any:
    """Return the value of an expression.

    Raises:
        EvaluationError: The expression has no value.
    """
    result = compile_rule(expression).eval(data=variables)
    if str(result.type()) == "ERROR":
        said = str(result.value())
        missing = _MISSING.search(said)
        raise EvaluationError(f"no such key: {missing[1]}" if missing else said.partition(": ")[2] or said)
    return result.value()


@functools.cache
def _environment() -> Any:
    try:
        from cel_expr_python import cel
        from cel_expr_python.ext import ext_strings
    except ImportError as exc:
        message = f"validation rules other than `self == oldSelf` need the library cel-expr-python: {_INSTALL}"
        raise StatusError(501, message) from exc
    variables = {"self": cel.Type.DYN, "oldSelf": cel.Type.DYN}
    return cel.NewEnv(variables=variables, extensions=[ext_strings.ExtStrings()])
