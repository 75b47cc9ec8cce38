"""Compaction, backup and restore as in docs/integrity.md: verify stays content, and notices an older backup."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.datastorage_backends import opened
from tests.support.sealed_events import ARRIVAL, sealed_row, sql

from signal_gateway.datastorage.backend import Backend
from signal_gateway.datastorage.integrity.checkpoint import Checkpoint
from signal_gateway.datastorage.integrity.verification import ChainVerdict
from signal_gateway.datastorage.record import microseconds
from signal_gateway.datastorage.verify import verify_chain

NOW = microseconds(ARRIVAL) + 10**13
Program = Callable[[str], str]


async def verify(backend: Backend, checkpoint: Checkpoint | None = None) -> ChainVerdict:
    return await verify_chain(backend, now=NOW, checkpoint=checkpoint)


async def fill(backend: Backend) -> None:
    for start in (0, 40):
        await backend.insert(
            [sealed_row(n, **({"retention_days": 1} if n % 2 else {})) for n in range(start, start + 40)]
        )
    assert await backend.purge(now=NOW, limit=30) == 30


def back_up(database: str, to: Path, program: Program) -> None:
    if database.startswith("sqlite"):
        sql(database, f"VACUUM INTO '{to}'")
    else:
        subprocess.run([program("pg_dump"), "--format=custom", f"--file={to}", database], check=True)


def restore(backup: Path, to: str, program: Program) -> None:
    if to.startswith("sqlite"):
        shutil.copy(backup, to.removeprefix("sqlite:///"))
    else:
        subprocess.run([program("pg_restore"), f"--dbname={to}", backup], check=True)


@pytest.fixture
def other_database(database: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database of the same kind that does not exist yet, or is empty."""
    if database.startswith("sqlite"):
        return f"sqlite:///{tmp_path}/restored.db"
    url: str = request.getfixturevalue("empty_postgres")
    return url


@pytest.mark.asyncio
async def test_compaction_changes_nothing_that_is_verified(backend: Backend, database: str) -> None:
    await fill(backend)
    before = (await verify(backend)).checkpoint

    sql(database, "VACUUM" if database.startswith("sqlite") else "VACUUM FULL")
    await backend.insert([sealed_row(500)])
    after = await verify(backend, before)

    assert after.finding is None
    assert after.events == 81


@pytest.mark.asyncio
async def test_backup_is_verified_after_its_restore(
    backend: Backend, database: str, other_database: str, tmp_path: Path, program: Program
) -> None:
    await fill(backend)
    checkpoint = (await verify(backend)).checkpoint

    back_up(database, tmp_path / "backup", program)
    restore(tmp_path / "backup", other_database, program)

    async with opened(other_database) as restored:
        again = await verify(restored, checkpoint)
        await restored.insert([sealed_row(number) for number in (0, 500)])
        later = await verify(restored, checkpoint)
    assert again.finding is None
    assert again.checkpoint == checkpoint
    assert later.finding is None
    assert later.events == 81


@pytest.mark.asyncio
async def test_restore_of_an_older_backup_is_noticed_with_a_checkpoint(
    backend: Backend, database: str, other_database: str, tmp_path: Path, program: Program
) -> None:
    await fill(backend)
    back_up(database, tmp_path / "backup", program)
    await backend.insert([sealed_row(500)])
    checkpoint = (await verify(backend)).checkpoint

    restore(tmp_path / "backup", other_database, program)

    async with opened(other_database) as restored:
        alone = await verify(restored)
        short = await verify(restored, checkpoint)
        await restored.insert([sealed_row(501)])
        await restored.insert([sealed_row(502)])
        grown = await verify(restored, checkpoint)
    assert alone.finding is None
    assert short.finding is not None
    assert "the checkpoint has link 4" in short.finding.reason
    assert grown.finding is not None
    assert "link 4 is not the one of the checkpoint" in grown.finding.reason
