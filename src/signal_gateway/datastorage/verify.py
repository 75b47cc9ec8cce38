"""verify_chain: reads the chain of a database and compares it with the stored events."""

import asyncio

from signal_gateway.datastorage.backend import CHAIN_COLUMNS, Backend
from signal_gateway.datastorage.integrity.checkpoint import Checkpoint
from signal_gateway.datastorage.integrity.verification import WHOLE_CHAIN, ChainVerifier, Verdict, Window

__all__ = ["verify_chain"]


async def verify_chain(
    backend: Backend, *, now: int, window: Window = WHOLE_CHAIN, checkpoint: Checkpoint | None = None
) -> Verdict:
    """Verify that the stored events are complete and unaltered. Inserts and purges may go on meanwhile.

    Args:
        backend: An open backend.
        now: Microseconds since the epoch.
        window: The links whose events are compared; all links are verified.
        checkpoint: A position that the chain must contain.

    Raises:
        BackendUnavailable: The database cannot be read now.
    """
    verifier = ChainVerifier(CHAIN_COLUMNS, window=window, checkpoint=checkpoint, now=now)
    needs_more = verifier.start(await backend.chain_head())
    while needs_more:
        chunk = await backend.read_chain(after=verifier.position, window=window)
        needs_more = await asyncio.to_thread(verifier.add, chunk)  # other requests get their turn
    return verifier.verdict()
