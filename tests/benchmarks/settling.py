"""What is done before a clock starts, so that it times the code and not the machine."""

import gc
import tempfile

__all__ = ["settle"]

WARM_MIB = 256


def settle() -> None:
    """Leave the garbage collector nothing to do, and have the host of a virtual machine give it memory for files."""
    gc.collect()
    gc.freeze()
    with tempfile.TemporaryFile() as file:
        for _ in range(WARM_MIB):
            file.write(bytes(1024 * 1024))
