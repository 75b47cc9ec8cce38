"""ServiceConfig: the settings of `signal-gateway serve`, from a YAML file and environment variables."""

import os
import re
import ssl
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from signal_gateway.audit.client.results import Acknowledgement
from signal_gateway.audit.client.tls import TlsFiles
from signal_gateway.audit.client.translation import KUBERNAUT_EVENT_TYPES, Translation
from signal_gateway.audit.client.url import checked_url
from signal_gateway.audit.config import AuditStoreConfig, Durability
from signal_gateway.errors import ConfigurationError
from signal_gateway.gateway.config import DEFAULT_NAMESPACE, GatewayConfig, NamespaceName, ProcessingConfig
from signal_gateway.gateway.service.setting_source import (
    POD_NAMESPACE_FILE,
    SettingSources,
    read_environment,
    read_pod_namespace,
    read_yaml,
)
from signal_gateway.gateway.setting_errors import setting_errors, setting_keys
from signal_gateway.web.logs import LogFormat, LogLevel
from signal_gateway.web.serving.sockets import parse_listen
from signal_gateway.web.serving.tls import server_tls

__all__ = [
    "AuditConfig",
    "AuthConfig",
    "KubernetesConfig",
    "LoggingConfig",
    "ManagementConfig",
    "ServerConfig",
    "ServiceConfig",
    "TlsConfig",
]

_REFERENCE: Final = re.compile(r"\w+(\.\w+)*:\w+")


_PORT: Final = re.compile(r":?(\d{1,5})")


def _address(listen: object) -> str:
    text = str(listen)
    try:
        if not isinstance(listen, str):
            raise ValueError
        _host_of(listen)
    except (ConfigurationError, ValueError):
        port = _PORT.fullmatch(text)
        number = port[1] if port is not None else "8080"
        raise ValueError(
            f"must be HOST:PORT with an IP address, such as 127.0.0.1:{number} for this machine alone, or "
            f"0.0.0.0:{number} for every address"
        ) from None
    return text


def _host_of(listen: str) -> IPv4Address | IPv6Address:
    host, _ = parse_listen(listen)
    return ip_address("127.0.0.1" if host == "localhost" else host)


def _collide(listen: str, other: str) -> bool:
    """Return whether two listeners cannot have these addresses at once."""
    (_, port), (_, other_port) = parse_listen(listen), parse_listen(other)
    host, other_host = _host_of(listen), _host_of(other)
    return port == other_port != 0 and (host == other_host or host.is_unspecified or other_host.is_unspecified)


def _http_url(url: str) -> str:
    try:
        return checked_url(url, "audit.datastorage_url")
    except ConfigurationError:
        expected = "must be an http or https URL without a password and a query, such as http://127.0.0.1:8080"
        raise ValueError(expected) from None


def _path_to(expected: str) -> BeforeValidator:
    """Expand `~`, and reject an empty path, which pydantic would read as the working directory."""

    def check(path: object) -> object:
        if path == "":
            raise ValueError(f"must be {expected}")
        if not isinstance(path, str | Path) or not str(path).startswith("~"):
            return path
        expanded = os.path.expanduser(path)
        if str(expanded).startswith("~"):
            raise ValueError("the home directory of ~ is not known: write the whole path")
        return expanded

    return BeforeValidator(check)


class TlsConfig(BaseModel):
    """The certificate and key for HTTPS: set both, or neither for plain HTTP."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    certificate: Annotated[Path | None, _path_to("a file, such as /var/run/secrets/tls/tls.crt")] = Field(
        default=None,
        description="PEM file with the certificate of the server, followed by the certificates of its issuers. The"
        " service reads it again after each change, and serves TLS 1.2 or newer.",
    )
    key: Annotated[Path | None, _path_to("a file, such as /var/run/secrets/tls/tls.key")] = Field(
        default=None,
        validate_default=True,
        description="PEM file with the private key of the certificate, not encrypted. The service reads it again"
        " after each change.",
    )

    @field_validator("key")
    @classmethod
    def _fits_certificate(cls, key: Path | None, info: ValidationInfo) -> Path | None:
        if "certificate" not in info.data:  # it is not valid itself
            return key
        if key is None and info.data["certificate"] is not None:
            raise ValueError("it is required with server.tls.certificate")
        if key is not None and info.data["certificate"] is None:
            raise ValueError("has no effect without server.tls.certificate: set both, or neither for plain HTTP")
        return key

    def load(self) -> ssl.SSLContext | None:
        """Read both files and return a TLS context, or None for plain HTTP.

        Raises:
            ConfigurationError: A file cannot be read or is not valid, or the key does not belong to the certificate.
        """
        if self.certificate is None or self.key is None:
            return None
        return server_tls(self.certificate, self.key, prefix="server.tls.")


class ServerConfig(BaseModel):
    """The listener for signals."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    listen: Annotated[str, BeforeValidator(_address)] = Field(
        default="127.0.0.1:8080",
        description="Address to listen on, as `HOST:PORT` with an IP address. Port 0 selects a free port.",
    )
    drain_delay: float = Field(
        default=0.0,
        ge=0,
        le=600,
        allow_inf_nan=False,
        description="Time after SIGTERM in which the gateway still accepts signals while `/readyz` already reports 503,"
        " in seconds. Set it to the time that your load balancers need to notice.",
    )
    tls: TlsConfig = TlsConfig()


class ManagementConfig(BaseModel):
    """The listener for health and metrics."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    listen: Annotated[str, BeforeValidator(_address)] | None = Field(
        default=None,
        description="Address of a separate listener for health and metrics, as `HOST:PORT`. The listener uses plain"
        " HTTP, requires no authentication, and also responds while the gateway starts and stops. If unset,"
        " `server.listen` serves health and metrics.",
    )


class AuthConfig(BaseModel):
    """The authentication of senders."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Literal["none", "token", "kubernetes"] = Field(
        default="none",
        description="How senders authenticate. `kubernetes`: with a token that the cluster accepts, of an account that"
        " may create the Service `gateway-service` in the controller namespace. `token`: with a token from"
        " `token_file`. `none`: not at all; required explicitly unless `server.listen` is a loopback address.",
    )
    token_file: Annotated[Path | None, _path_to("a file, such as /var/run/secrets/senders/tokens")] = Field(
        default=None,
        validate_default=True,
        description="For the mode `token`: file with one line `TOKEN NAME` per sender. The gateway reads the file again"
        " when it changes.",
    )

    @field_validator("token_file")
    @classmethod
    def _fits_mode(cls, token_file: Path | None, info: ValidationInfo) -> Path | None:
        mode = info.data.get("mode")  # absent when it is not valid itself
        if mode == "token" and token_file is None:
            raise ValueError("it is required with auth.mode = token: name a file with one line TOKEN NAME per sender")
        if mode in ("none", "kubernetes") and token_file is not None:
            raise ValueError(f"has no effect with auth.mode = {mode}: set auth.mode to token, or remove it")
        return token_file


class AuditConfig(BaseModel):
    """The delivery of audit events to DataStorage."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    datastorage_url: Annotated[str, AfterValidator(_http_url)] = Field(
        description="URL of DataStorage. There is no default."
    )
    token_file: Annotated[Path | None, _path_to("a file, such as /var/run/secrets/datastorage/token")] = Field(
        default=None,
        description="File with the bearer token for DataStorage, one line. The service reads it again after each"
        " change. The token needs the scope `write`.",
    )
    ca_file: Annotated[Path | None, _path_to("a file, such as /var/run/secrets/datastorage/ca.crt")] = Field(
        default=None,
        description="PEM file with the certificates of the authorities that may sign the certificate of DataStorage,"
        " instead of those of the system and of SSL_CERT_FILE. The service reads it again after each change.",
    )
    client_certificate: Annotated[Path | None, _path_to("a file, such as /var/run/secrets/client/tls.crt")] = Field(
        default=None,
        description="PEM file with the certificate that the gateway shows to DataStorage, followed by the certificates"
        " of its issuers. The service reads it again after each change.",
    )
    client_key: Annotated[Path | None, _path_to("a file, such as /var/run/secrets/client/tls.key")] = Field(
        default=None,
        validate_default=True,
        description="PEM file with the private key of the client certificate, not encrypted. The service reads it again"
        " after each change.",
    )
    durability: Durability = Field(
        default="process",
        description="The failure that undelivered events survive. `process`: the death of the process. `memory`: only"
        " an outage of DataStorage that ends before the process does.",
    )
    spool_directory: Annotated[Path | None, _path_to("a directory, such as /var/lib/signal-gateway/spool")] = Field(
        default=None,
        validate_default=True,
        description="Directory that keeps events until their delivery, including events that an earlier process left."
        " Required unless `durability` is `memory`.",
    )
    max_spool_bytes: int | None = Field(
        default=None,
        ge=4 * 1024 * 1024,
        description="Space for undelivered events, in bytes. With less than 1 MiB left, `/readyz` reports 503; with"
        " none left, signals get the status 503. If unset, 1 GiB, or 256 MiB with the durability `memory`.",
    )
    implementation: Literal["signal-gateway", "kubernaut"] = Field(
        default="signal-gateway",
        description="Implementation of the audit API at `datastorage_url`. `kubernaut`: the DataStorage in Go, which"
        " assigns event ids of its own and knows four event types of a gateway: the other three are sent as types that"
        " it knows, see docs/interoperability.md.",
    )
    event_types: Mapping[str, str | None] = Field(
        default={},
        description="Names under which events are sent, by event type; null for a type that is not recorded. They"
        " replace those of `implementation`.",
    )
    required: bool = Field(
        default=False,
        description="Fail at start if DataStorage does not respond. If disabled, events wait for DataStorage. An"
        " unexpected server at the URL is an error in both cases.",
    )

    @field_validator("ca_file", "client_certificate")
    @classmethod
    def _is_of_use(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        url = info.data.get("datastorage_url")  # absent when it is not valid itself
        if path is not None and url is not None and not url.lower().startswith("https:"):
            raise ValueError(f"has no effect with audit.datastorage_url = {url}: use an https URL, or remove it")
        return path

    @field_validator("client_key")
    @classmethod
    def _fits_client_certificate(cls, key: Path | None, info: ValidationInfo) -> Path | None:
        if "client_certificate" not in info.data:  # it is not valid itself
            return key
        if (key is None) != (info.data["client_certificate"] is None):
            raise ValueError("belongs to audit.client_certificate: set both, or neither")
        return key

    @field_validator("event_types")
    @classmethod
    def _are_event_types(cls, event_types: Mapping[str, str | None], info: ValidationInfo) -> Mapping[str, str | None]:
        try:
            Translation(_with_known_types(info.data.get("implementation"), event_types))
        except ConfigurationError as exc:
            raise ValueError(str(exc)) from None
        return event_types

    @property
    def translated_event_types(self) -> Mapping[str, str | None]:
        """The names of event types at DataStorage, with those of its implementation."""
        return _with_known_types(self.implementation, self.event_types)

    @property
    def acknowledgement(self) -> Acknowledgement:
        """The proof that DataStorage stored a batch."""
        return "event_count" if self.implementation == "kubernaut" else "event_ids"

    @property
    def tls_files(self) -> TlsFiles:
        """The files for TLS to DataStorage."""
        return TlsFiles(self.ca_file, self.client_certificate, self.client_key)

    @field_validator("spool_directory")
    @classmethod
    def _fits_durability(cls, directory: Path | None, info: ValidationInfo) -> Path | None:
        durability = info.data.get("durability")  # absent when it is not valid itself
        if durability == "process" and directory is None:
            raise ValueError(
                "it is required: name a local directory that keeps undelivered audit events across restarts, or set"
                " audit.durability to memory and lose them with the process"
            )
        if durability == "memory" and directory is not None:
            raise ValueError("has no effect with audit.durability = memory: remove one of the two")
        return directory

    @property
    def store(self) -> AuditStoreConfig:
        """The settings of the audit store."""
        limit = {} if self.max_spool_bytes is None else {"max_spool_bytes": self.max_spool_bytes}
        return AuditStoreConfig(durability=self.durability, spool_directory=self.spool_directory, **limit)


def _with_known_types(implementation: str | None, event_types: Mapping[str, str | None]) -> Mapping[str, str | None]:
    return {**KUBERNAUT_EVENT_TYPES, **event_types} if implementation == "kubernaut" else event_types


class KubernetesConfig(BaseModel):
    """The access to the Kubernetes cluster."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kubeconfig: Annotated[Path | None, _path_to("a file, such as /etc/signal-gateway/kubeconfig")] = Field(
        default=None, description="Path of a kubeconfig. If unset, the gateway uses the service account of its pod."
    )


class LoggingConfig(BaseModel):
    """The log on stderr."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    level: LogLevel = Field(
        default="info",
        description="Lowest level that is logged. For libraries, the lowest level is `warning` or this one, whichever"
        " is higher.",
    )
    format: LogFormat = Field(
        default="json",
        description="`json`: one JSON object per line, with timestamp, level, logger, event and, if present,"
        " request_id, correlation_id and further fields. `console`: text for people. Both mask secrets.",
    )


def _separated(value: object) -> object:
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


def _reference(text: str) -> str:
    if not _REFERENCE.fullmatch(text):
        raise ValueError("must be package.module:name, such as my_sources.falco:FalcoAdapter")
    return text


class ServiceConfig(BaseModel):
    """The settings of the gateway as a service."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    controller_namespace: NamespaceName = Field(
        default=DEFAULT_NAMESPACE,
        description="Namespace of the RemediationRequests. If unset in a pod, the namespace of that pod.",
    )
    processing: ProcessingConfig = ProcessingConfig()
    adapters: Annotated[tuple[Annotated[str, AfterValidator(_reference)], ...], BeforeValidator(_separated)] = Field(
        default=(),
        description="Your own adapters, each as `package.module:name` of an adapter, its class, or a function that"
        " returns it. Separate them by commas in an environment variable.",
    )
    server: ServerConfig = ServerConfig()
    management: ManagementConfig = ManagementConfig()
    auth: Annotated[AuthConfig, Field(validate_default=True)] = AuthConfig()
    audit: AuditConfig
    kubernetes: KubernetesConfig = KubernetesConfig()
    logging: LoggingConfig = LoggingConfig()

    @field_validator("management")
    @classmethod
    def _has_a_port_of_its_own(cls, management: ManagementConfig, info: ValidationInfo) -> ManagementConfig:
        server = info.data.get("server")  # absent when it is not valid itself
        if server is not None and management.listen is not None and _collide(server.listen, management.listen):
            raise ValueError(
                f"management.listen = {management.listen} needs another port than server.listen = {server.listen}; "
                "remove management.listen to serve both on one listener"
            )
        return management

    @field_validator("auth")
    @classmethod
    def _is_explicit_beyond_loopback(cls, auth: AuthConfig, info: ValidationInfo) -> AuthConfig:
        server = info.data.get("server")  # absent when it is not valid itself
        is_explicit = "mode" in auth.model_fields_set
        if server is not None and not is_explicit and not _host_of(server.listen).is_loopback:
            raise ValueError(
                f"auth.mode must be set, because server.listen = {server.listen} is not a loopback address: choose "
                "kubernetes, token, or none to accept signals from every client"
            )
        return auth

    @property
    def gateway(self) -> GatewayConfig:
        """The settings of the gateway itself."""
        return GatewayConfig(controller_namespace=self.controller_namespace, processing=self.processing)

    @classmethod
    def load_from_file(
        cls,
        path: str | os.PathLike[str],
        *,
        environment: Mapping[str, str] | None = None,
        pod_namespace_file: Path = POD_NAMESPACE_FILE,
    ) -> Self:
        """Read a YAML file; variables such as `SIGNAL_GATEWAY__PROCESSING__RETRY__MAX_ATTEMPTS` override it.

        Needs no server and no network.

        Args:
            path: The file.
            environment: The environment variables; those of the process by default.
            pod_namespace_file: The file with the namespace of the pod; it exists only in a pod.

        Raises:
            ConfigurationError: The file cannot be read, a key or a variable with the prefix is unknown, or a value
                is not allowed; the message lists all errors, each with source, key and value.
        """
        config, _ = cls.load_with_sources(path, environment=environment, pod_namespace_file=pod_namespace_file)
        return config

    @classmethod
    def load_with_sources(
        cls,
        path: str | os.PathLike[str],
        *,
        environment: Mapping[str, str] | None = None,
        pod_namespace_file: Path = POD_NAMESPACE_FILE,
    ) -> tuple[Self, SettingSources]:
        """Read a YAML file like `load_from_file`, and return the source of each setting, too."""
        settings = SettingSources()
        read_pod_namespace(pod_namespace_file, into=settings)
        read_yaml(Path(path), into=settings)
        variables = os.environ if environment is None else environment
        read_environment(variables, keys=setting_keys(cls), into=settings)
        try:
            config = cls.model_validate(settings.tree())
        except ValidationError as exc:
            found = setting_errors(exc, cls)
        else:
            if not settings.problems:
                return config, settings
            found = []
        lines = settings.problems + [settings.explain(error, file=str(path)) for error in found]
        raise ConfigurationError("the configuration is not valid:\n" + "\n".join(f"  {line}" for line in lines))
