"""PostgreSQL's dialect of the SELECTs."""

from signal_gateway.datastorage.backend import StoredRecord
from signal_gateway.datastorage.query import EventQuery, Position
from signal_gateway.datastorage.select import Dialect, Statement, Value, slice_statement

__all__ = ["POSTGRES", "bounded_slice_statement"]


def _detail(key: str, text: str, scalar: Value) -> Statement:
    """Match a top-level member of `event_data`."""
    alternatives = ["json_typeof(member.value) = 'string' AND member.value #>> '{}' = %s"]
    values: list[Value] = [key, text]
    if scalar is None or isinstance(scalar, bool):
        alternatives.append("member.value::text = %s")
        values.append(text)
    elif isinstance(scalar, (int, float)):
        # Each kind of number with its own, as neither can hold every value of the other. CASE keeps the order of the
        # tests: a cast of what is no number would be an error.
        alternatives.append(
            "CASE WHEN json_typeof(member.value) <> 'number' THEN false"
            " WHEN member.value::text ~ '[.eE]' THEN member.value::text::float8 = %s::float8"
            " ELSE member.value::text::numeric = %s::numeric END"
        )
        values.append(float(scalar) if float(scalar) == scalar else None)
        values.append(int(scalar) if isinstance(scalar, int) or scalar.is_integer() else None)
    return (
        "EXISTS (SELECT 1 FROM json_each(event_data::json) AS member"
        f" WHERE member.key = %s AND ({' OR '.join(alternatives)}))",
        values,
    )


# its planner knows how often a value occurs and needs no hint
POSTGRES = Dialect(placeholder="%s", further_column="{}", detail=_detail)


def bounded_slice_statement(
    query: EventQuery, *, after: Position | None, newest: int, limit: int, max_bytes: int
) -> Statement:
    """Select a slice as `slice_statement` does, that ends with the event whose `event_data` reaches `max_bytes`."""
    columns = ", ".join(StoredRecord._fields)
    order = f"event_timestamp {query.order}, sequence {query.order}"
    statement, values = slice_statement(query, POSTGRES, after=after, newest=newest, limit=limit)
    return (
        # octet_length is in the header of a long text: it is not fetched for that
        f"SELECT {columns} FROM (SELECT {columns}, sum(octet_length(event_data))"
        f" OVER (ORDER BY {order} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS bytes_before"
        f" FROM ({statement}) AS slice) AS summed WHERE coalesce(bytes_before, 0) < %s ORDER BY {order}",
        [*values, max_bytes],
    )
