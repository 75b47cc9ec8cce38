"""Lines of a watch: a newline ends one, and nothing else does."""

from collections.abc import AsyncIterator
from typing import Final

import httpx2

__all__ = ["EscapedLines"]

# as UTF-8: NEL, LINE SEPARATOR and PARAGRAPH SEPARATOR; JSON escapes the rest of what `str.splitlines` ends a line at
_ENDS_OF_TEXT_LINES: Final = ((b"\xc2\x85", rb"\u0085"), (b"\xe2\x80\xa8", rb"\u2028"), (b"\xe2\x80\xa9", rb"\u2029"))
_BEGINNINGS: Final = (b"\xe2\x80", b"\xe2", b"\xc2")


class EscapedLines(httpx2.AsyncByteStream):
    """Hands on a watch's bytes, with characters escaped that the client would take for the end of a line.

    A watch is a JSON object a line, and JSON may have U+0085, U+2028 and U+2029 in its strings as they are. The client
    splits lines at them: so whoever can write such a character into an object would stop every watch of its kind.

    Args:
        stream: The answer's body, not compressed.
    """

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield bytes that have a line's end only at a newline."""
        held = b""
        async for chunk in self._stream:
            whole = held + chunk
            held = next((beginning for beginning in _BEGINNINGS if whole.endswith(beginning)), b"")
            yield _escaped(whole.removesuffix(held))
        yield held

    async def aclose(self) -> None:
        """Close the answer."""
        await self._stream.aclose()


def _escaped(text: bytes) -> bytes:
    for character, escape in _ENDS_OF_TEXT_LINES:
        text = text.replace(character, escape)
    return text
