"""tls_for_plain_http: one shared TLS context for clients that use plain HTTP only."""

import functools
import ssl

__all__ = ["tls_for_plain_http"]


@functools.cache
def tls_for_plain_http() -> ssl.SSLContext:
    """Return a shared context without certificates.

    httpx and httpx2 create a context even for plain HTTP. Loading the system certificates takes 19 ms per client, and a
    child process that is forked while another thread creates a context would wait forever for a lock of OpenSSL.
    """
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
