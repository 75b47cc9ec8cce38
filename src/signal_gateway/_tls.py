"""One TLS context for clients of plain HTTP, which want one all the same."""

import functools
import ssl

__all__ = ["tls_for_plain_http"]


@functools.cache
def tls_for_plain_http() -> ssl.SSLContext:
    """Return a context without certificates, always the same one.

    httpx and httpx2 ask for a context even where they will never use it. Loading the system's certificates for each
    client takes 19 ms; and a child that was forked while another thread made a context would wait for OpenSSL's
    lock for ever.
    """
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
