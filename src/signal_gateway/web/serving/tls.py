"""server_tls(): the TLS context of a server, from the files of its certificate and key."""

import ssl
from pathlib import Path
from typing import Final, Never

from signal_gateway.errors import ConfigurationError

__all__ = ["server_tls"]

_MISMATCHES: Final = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH")


def server_tls(certificate: Path, key: Path, *, source: str) -> ssl.SSLContext:
    """Return a server's TLS context for TLS 1.2 or newer, without client certificates.

    Args:
        certificate: PEM file: the server's certificate first, then the certificates of its issuers.
        key: PEM file with the private key, not encrypted.
        source: The setting with the keys `certificate` and `key`, for messages.

    Raises:
        ConfigurationError: A file is not readable or not valid, or the key does not belong to the certificate; the
            message names the file.
    """
    _require_readable(certificate, f"{source}.certificate")
    _require_readable(key, f"{source}.key")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(certificate)
    except ssl.SSLError as exc:
        raise ConfigurationError(f"{source}.certificate: {certificate} holds no certificate as PEM: {exc}") from exc

    def refuse_passphrase() -> Never:
        raise ConfigurationError(
            f"{source}.key: {key} is encrypted, and the service has no passphrase: decrypt it (openssl pkey)"
        )

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key, refuse_passphrase)
    except ssl.SSLError as exc:
        if exc.reason in _MISMATCHES:
            raise ConfigurationError(
                f"{source}.key: {key} is not the key of the first certificate in {certificate}"
            ) from exc
        raise ConfigurationError(
            f"{source}: {key} holds no private key as PEM for the certificate in {certificate}: {exc}"
        ) from exc
    return context


def _require_readable(path: Path, name: str) -> None:
    try:
        path.read_bytes()
    except OSError as exc:
        raise ConfigurationError(f"{name}: {path} can't be read: {exc.strerror or exc}") from exc
