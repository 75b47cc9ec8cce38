"""Both databases find the same numbers by `detail_value`."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import orjson
from tests.support.datastorage_backends import opened, row

from signal_gateway.datastorage.backend import Backend
from signal_gateway.datastorage.query import EventQuery

# both sides of where a double no longer holds every whole number; above 2**63 SQLite compares as doubles
EDGES = [edge + near for edge in (0, 2**53, 2**62, 2**63 - 2) for near in (-1, 0, 1)]
NUMBERS: list[int | float] = [
    *EDGES,
    *(-edge for edge in EDGES),
    *(float(edge) for edge in EDGES),
    *(-0.0, 0.1, 0.1 + 0.2, 1e16, 1e22, 1.5e300, 5e-324, 1e-7, 100.0, 1.0),
]


async def found(backend: Backend, texts: Sequence[str]) -> list[list[str]]:
    pages = [await backend.query(EventQuery(detail=("n", text), order="asc", limit=1000)) for text in texts]
    return [[event.envelope for event in page.events] for page in pages]


def test_both_databases_find_the_same_numbers(tmp_path: Path, postgres_database: str) -> None:
    rows = [row(n, event_data=orjson.dumps({"n": number}).decode()) for n, number in enumerate(NUMBERS)]
    texts = [text for number in NUMBERS for text in (str(number), f"{number:.25e}", f"{number:.1f}")]

    async def compare() -> None:
        async with opened(f"sqlite:///{tmp_path}/audit.db") as sqlite, opened(postgres_database) as postgres:
            await sqlite.insert(rows)
            await postgres.insert(rows)

            of_sqlite, of_postgres = await found(sqlite, texts), await found(postgres, texts)

        different = [
            (text, one, other) for text, one, other in zip(texts, of_sqlite, of_postgres, strict=True) if one != other
        ]
        assert different == []
        assert all(events for text, events in zip(texts, of_sqlite, strict=True) if text in map(str, NUMBERS))

    asyncio.run(compare())
