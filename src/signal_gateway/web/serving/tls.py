"""server_tls(): the TLS context of a server, from the files of its certificate and key."""

import logging
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Never

from signal_gateway._file_version import FileVersion, file_version
from signal_gateway.errors import ConfigurationError

__all__ = ["server_tls"]

_log = logging.getLogger(__name__)

_MISMATCHES: Final = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH")


def server_tls(certificate: Path, key: Path, *, prefix: str, client_ca: Path | None = None) -> ssl.SSLContext:
    """Return a server's TLS context for TLS 1.2 or newer. It reads changed files again, for the next connection.

    If a changed file is not valid, as during its replacement, the error is logged and the files read before stay in
    use.

    Args:
        certificate: PEM file: the server's certificate first, then the certificates of its issuers.
        key: PEM file with the private key, not encrypted.
        prefix: Beginning of the settings `certificate` and `key` for messages, such as `server.tls.`.
        client_ca: PEM file with the authorities that sign the certificates of clients, which each client must show;
            None to accept clients without certificates.

    Raises:
        ConfigurationError: A file is not readable or not valid, or the key does not belong to the certificate; the
            message names the file.
    """
    files = _ServerFiles(certificate, key, client_ca, prefix)
    context = files.read()
    context.sni_callback = _Reload(files, context).choose
    return context


@dataclass(frozen=True, slots=True)
class _ServerFiles:
    certificate: Path
    key: Path
    client_ca: Path | None
    prefix: str

    def versions(self) -> tuple[FileVersion, ...]:
        return tuple(file_version(path) for path in (self.certificate, self.key, self.client_ca) if path is not None)

    def read(self) -> ssl.SSLContext:
        context = _server_context(self.certificate, self.key, self.prefix)
        if self.client_ca is not None:
            _require_readable(self.client_ca, "--client-ca")
            try:
                context.load_verify_locations(self.client_ca)
            except ssl.SSLError as exc:
                raise ConfigurationError(f"--client-ca: {self.client_ca} holds no certificate as PEM: {exc}") from exc
            context.verify_mode = ssl.CERT_REQUIRED
        return context


class _Reload:
    """Gives each connection the context of its time. OpenSSL calls `choose` in every handshake, with or without SNI."""

    def __init__(self, files: _ServerFiles, context: ssl.SSLContext) -> None:
        self._files = files
        self._seen = files.versions()
        self._newest = context

    def choose(self, connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _context: ssl.SSLContext) -> None:
        versions = self._files.versions()
        if versions != self._seen:
            self._seen = versions  # before reading: a change in between is found by the next handshake
            try:
                self._newest = self._files.read()
            except ConfigurationError as exc:
                _log.error("the TLS files read before stay in use: %s", exc)
            else:
                _log.info("read the changed certificate %s", self._files.certificate)
        connection.context = self._newest


def _server_context(certificate: Path, key: Path, prefix: str) -> ssl.SSLContext:
    _require_readable(certificate, f"{prefix}certificate")
    _require_readable(key, f"{prefix}key")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(certificate)
    except ssl.SSLError as exc:
        raise ConfigurationError(f"{prefix}certificate: {certificate} holds no certificate as PEM: {exc}") from exc

    def refuse_passphrase() -> Never:
        raise ConfigurationError(
            f"{prefix}key: {key} is encrypted, and the service has no passphrase: decrypt it (openssl pkey)"
        )

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key, refuse_passphrase)
    except ssl.SSLError as exc:
        if exc.reason in _MISMATCHES:
            raise ConfigurationError(
                f"{prefix}key: {key} is not the key of the first certificate in {certificate}"
            ) from exc
        raise ConfigurationError(
            f"{prefix}key: {key} holds no private key as PEM for the certificate in {certificate}: {exc}"
        ) from exc
    return context


def _require_readable(path: Path, name: str) -> None:
    try:
        path.read_bytes()
    except OSError as exc:
        raise ConfigurationError(f"{name}: {path} can't be read: {exc.strerror or exc}") from exc
