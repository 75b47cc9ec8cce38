"""SQLite's dialect of the SELECTs."""

from signal_gateway.datastorage.select import Dialect, Statement, Value

__all__ = ["SQLITE"]


def _detail(key: str, text: str, scalar: Value) -> Statement:
    """Match a top-level member of `event_data`; the key is compared as a value and never part of a JSON path."""
    alternatives = ["member.type = 'text' AND member.value = ?"]
    values: list[Value] = [key, text]
    if scalar is None or isinstance(scalar, bool):
        alternatives.append("member.type = ?")
        values.append(text)
    elif isinstance(scalar, (int, float)):
        alternatives.append("member.type IN ('integer', 'real') AND member.value = ?")
        values.append(scalar if abs(scalar) < 2**63 else float(scalar))
    return (
        "EXISTS (SELECT 1 FROM json_each(event_data) AS member"
        f" WHERE member.key = ? AND ({' OR '.join(alternatives)}))",
        values,
    )


# The first filter that is given uses its index; a unary plus keeps the planner from using the index of another one,
# which it would choose as readily: it knows nothing of how often a value occurs.
SQLITE = Dialect(placeholder="?", further_column="+{}", detail=_detail)
