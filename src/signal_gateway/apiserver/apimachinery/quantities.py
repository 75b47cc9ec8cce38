"""Quantities such as `500m` or `1Gi`: their values and their canonical form.

The rules are those of `k8s.io/apimachinery/pkg/api/resource`.
"""

import re
from decimal import ROUND_CEILING, Decimal

__all__ = ["QuantityError", "canonical_quantity", "quantity_value"]

_FORM = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(|[numkMGTPE]|[KMGTPE]i|[eE][+-]?\d+)")
_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_DECIMAL = {"n": -3, "u": -2, "m": -1, "": 0, "k": 1, "M": 2, "G": 3, "T": 4, "P": 5, "E": 6}
_SMALLEST = Decimal("1e-9")


class QuantityError(ValueError):
    """A string or a number is not a quantity."""


def quantity_value(text: str) -> Decimal:
    """Return the number that a quantity means.

    Raises:
        QuantityError: The text is not a quantity.
    """
    number, suffix = _parts(text)
    if suffix in _BINARY[1:]:
        return number * Decimal(1024) ** _BINARY.index(suffix)
    if suffix in _DECIMAL:
        return number * Decimal(1000) ** _DECIMAL[suffix]
    return number.scaleb(int(suffix[1:]))


def canonical_quantity(value: object) -> str:
    """Return a quantity in the API server's notation: the largest suffix that leaves an integer.

    Raises:
        QuantityError: The value is not a quantity.
    """
    text = str(value).strip() if isinstance(value, str | int | float) and not isinstance(value, bool) else ""
    amount = quantity_value(text).quantize(_SMALLEST, rounding=ROUND_CEILING)
    suffix = _parts(text)[1]
    if amount == 0:
        return "0"
    if suffix in _BINARY[1:]:
        return _binary(amount)
    for symbol, power in reversed(_DECIMAL.items()):
        scaled = amount / Decimal(1000) ** power
        if scaled == scaled.to_integral_value():
            is_exponent = suffix[:1] in ("e", "E") and suffix != "E"
            unit = f"e{3 * power}" if is_exponent and power else symbol
            return f"{int(scaled)}{unit}"
    raise AssertionError(f"{text} was rounded to whole nanos")


def _binary(amount: Decimal) -> str:
    if abs(amount) < 1024 or amount != amount.to_integral_value():
        return canonical_quantity(f"{amount:f}")
    power = max(power for power in range(len(_BINARY)) if amount % Decimal(1024) ** power == 0)
    return f"{int(amount / Decimal(1024) ** power)}{_BINARY[power]}"


def _parts(text: str) -> tuple[Decimal, str]:
    match = _FORM.fullmatch(text)
    if match is None:
        raise QuantityError(
            r"quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
        )
    return Decimal(match[1]), match[2]
