"""verify_chain: reads the chain of a database and compares it with the stored events; Verifications: runs it."""

import asyncio
from dataclasses import dataclass

from signal_gateway.clock import Clock
from signal_gateway.datastorage.backend import CHAIN_COLUMNS, Backend
from signal_gateway.datastorage.integrity.checkpoint import Checkpoint
from signal_gateway.datastorage.integrity.verification import WHOLE_CHAIN, ChainVerdict, ChainVerifier, Window
from signal_gateway.datastorage.record import microseconds

__all__ = ["Verification", "Verifications", "verify_chain"]


async def verify_chain(
    backend: Backend, *, now: int, window: Window = WHOLE_CHAIN, checkpoint: Checkpoint | None = None
) -> ChainVerdict:
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


@dataclass(frozen=True, slots=True)
class Verification:
    """A verification of the whole chain.

    Attributes:
        verdict: Its result.
        verified_at: Its end, in microseconds since the epoch.
    """

    verdict: ChainVerdict
    verified_at: int


class Verifications:
    """Verifies the chain of one backend, and keeps the newest result for the pages of the viewer.

    Args:
        backend: The database; the caller opens and closes it.
        clock: Gives the time of a verification.
    """

    def __init__(self, backend: Backend, *, clock: Clock) -> None:
        self._backend = backend
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()  # a verification reads everything
        self._latest: Verification | None = None

    @property
    def latest(self) -> Verification | None:
        """The newest verification of the whole chain by this process; None if there was none."""
        return self._latest

    async def verify(self, *, window: Window = WHOLE_CHAIN, checkpoint: Checkpoint | None = None) -> ChainVerdict:
        """Verify the chain, after the verifications that began before.

        Args:
            window: The links whose events are compared; all links are verified.
            checkpoint: A position that the chain must contain.

        Raises:
            BackendUnavailable: The database cannot be read now.
        """
        async with self._one_at_a_time:
            now = microseconds(self._clock.now())
            verdict = await verify_chain(self._backend, now=now, window=window, checkpoint=checkpoint)
        # a checkpoint is what its sender says: a wrong one is no alteration for all readers
        if window == WHOLE_CHAIN if verdict.finding is None else checkpoint is None:
            self._latest = Verification(verdict, now)
        return verdict
