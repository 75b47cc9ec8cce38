"""ClientTls: the certificates of a client, read again after each change of their files."""

import logging
import os
import ssl
from dataclasses import dataclass
from pathlib import Path

import certifi

from signal_gateway._file_version import FileVersion, file_version
from signal_gateway.audit.guarded_log import GuardedLog
from signal_gateway.errors import ConfigurationError

__all__ = ["ClientTls", "TlsFiles"]

_SYSTEM_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR")  # that OpenSSL reads


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files for TLS.

    Attributes:
        ca_file: Certificates of the authorities to trust, instead of those of the system; None for those of the system.
        certificate: The client's certificate, followed by those of its issuers; None without one.
        key: Private key of the certificate, not encrypted; None if it is in the file of the certificate.
    """

    ca_file: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files that are set, and those of the system's variables."""
        own = [path for path in (self.ca_file, self.certificate, self.key) if path is not None]
        system = [] if self.ca_file else [Path(os.environ[name]) for name in _SYSTEM_VARIABLES if os.environ.get(name)]
        return (*own, *system)


class ClientTls:
    """TLS contexts from files. A changed file is read for the next connection.

    If a changed file is not valid, as during its replacement, the error is logged and the previous context is used.

    Args:
        files: The files.
        source: Source of the URL, for error messages.

    Raises:
        ConfigurationError: A file cannot be read or is not valid.
    """

    def __init__(self, files: TlsFiles, *, source: str) -> None:
        self._files = files
        self._source = source
        self._log = GuardedLog(logging.getLogger(__name__))
        self._seen = self._versions()
        self._context = self._read()

    def context(self) -> ssl.SSLContext:
        """Return a context from the files as they are now."""
        versions = self._versions()
        if versions != self._seen:
            self._seen = versions  # before reading: a change in between is found by the next call
            try:
                self._context = self._read()
            except ConfigurationError as exc:
                self._log.error("the certificates read before stay in use: %s", exc)
        return self._context

    def _versions(self) -> tuple[FileVersion, ...]:
        return tuple(map(file_version, self._files.paths))

    def _read(self) -> ssl.SSLContext:
        files = self._files
        for path in (files.ca_file, files.certificate, files.key):
            if path is not None:
                _require_readable(path, self._source)
        try:
            context = ssl.create_default_context(cafile=files.ca_file)
            if files.ca_file is None:
                context.load_verify_locations(certifi.where())
        except ssl.SSLError as exc:
            raise _wrong(f"{files.ca_file} holds no certificate as PEM", self._source) from exc
        if files.certificate is not None:
            try:
                # a passphrase would be asked for on the terminal
                context.load_cert_chain(files.certificate, files.key, password="")
            except (ssl.SSLError, ValueError) as exc:
                where = files.certificate if files.key is None else f"{files.certificate} and {files.key}"
                raise _wrong(f"{where} hold no certificate with its unencrypted key", self._source) from exc
        context.set_alpn_protocols(["http/1.1"])
        return context


def _require_readable(path: Path, source: str) -> None:
    try:
        path.read_bytes()
    except OSError as exc:
        raise _wrong(f"{path} can't be read: {exc.strerror or exc}", source) from exc


def _wrong(problem: str, source: str) -> ConfigurationError:
    return ConfigurationError(f"TLS file for DataStorage (URL from {source}): {problem}; use PEM files")
