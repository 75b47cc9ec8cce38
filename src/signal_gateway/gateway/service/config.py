"""ServiceConfig: what `signal-gateway serve` loads, from a YAML file under environment variables."""

import os
import re
import ssl
from collections.abc import Mapping
from ipaddress import ip_address
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

from signal_gateway.audit.client.url import checked_url
from signal_gateway.audit.config import AuditStoreConfig, Durability
from signal_gateway.errors import ConfigurationError
from signal_gateway.gateway.config import DEFAULT_NAMESPACE, GatewayConfig, NamespaceName, ProcessingConfig
from signal_gateway.gateway.service.setting_source import (
    POD_NAMESPACE_FILE,
    Sourced,
    read_environment,
    read_pod_namespace,
    read_yaml,
)
from signal_gateway.gateway.setting_errors import setting_errors
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


def _address(listen: str) -> str:
    _host_of(listen)
    return listen


def _host_of(listen: str) -> str:
    try:
        host, _ = parse_listen(listen)
        return "127.0.0.1" if host == "localhost" else str(ip_address(host))
    except (ConfigurationError, ValueError):
        raise ValueError("must be HOST:PORT with an IP address, such as 127.0.0.1:8080") from None


def _http_url(url: str) -> str:
    try:
        return checked_url(url, "audit.datastorage_url")
    except ConfigurationError:
        wanted = "must be an http or https URL, such as http://127.0.0.1:8080, without a password or a query in it"
        raise ValueError(wanted) from None


def _not_empty(wanted: str) -> BeforeValidator:
    """Refuse the path that an empty text would be: the working directory."""

    def check(path: object) -> object:
        if path == "":
            raise ValueError(f"must be {wanted}")
        return path

    return BeforeValidator(check)


class TlsConfig(BaseModel):
    """What signals are taken by https with: both files, or none for plain HTTP.

    Attributes:
        certificate: PEM file with the server's own certificate first, then those of its issuers. Both files are read
            when the service starts, and never again; TLS is 1.2 or newer.
        key: PEM file with the certificate's private key, not encrypted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    certificate: Annotated[Path | None, _not_empty("a file, such as /var/run/secrets/tls/tls.crt")] = None
    key: Annotated[
        Path | None, _not_empty("a file, such as /var/run/secrets/tls/tls.key"), Field(validate_default=True)
    ] = None

    @field_validator("key")
    @classmethod
    def _fits_certificate(cls, key: Path | None, info: ValidationInfo) -> Path | None:
        if "certificate" not in info.data:  # it is wrong itself
            return key
        if key is None and info.data["certificate"] is not None:
            raise ValueError("it is required with server.tls.certificate")
        if key is not None and info.data["certificate"] is None:
            raise ValueError("is of no use without server.tls.certificate: set both, or leave both out for plain HTTP")
        return key

    def load(self) -> ssl.SSLContext | None:
        """Read the files; None where there are none.

        Raises:
            ConfigurationError: One can't be read or isn't what it should be, or they don't belong together.
        """
        if self.certificate is None or self.key is None:
            return None
        return server_tls(self.certificate, self.key, source="server.tls")


class ServerConfig(BaseModel):
    """Where the gateway listens.

    Attributes:
        listen: `HOST:PORT`; port 0 takes a free one.
        drain_delay: Seconds after SIGTERM in which signals are still taken while `/readyz` says no already: so long
            load balancers may take to learn it.
        tls: What signals are taken by https with.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    listen: Annotated[str, AfterValidator(_address)] = "127.0.0.1:8080"
    drain_delay: Annotated[float, Field(ge=0, le=600, allow_inf_nan=False)] = 0.0
    tls: TlsConfig = TlsConfig()


class ManagementConfig(BaseModel):
    """Where health and metrics are served.

    Attributes:
        listen: `HOST:PORT` of a plain HTTP listener of their own, which whoever connects may ask; it answers while the
            gateway starts and stops, too. Unless it is set, `server.listen` serves them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    listen: Annotated[str, AfterValidator(_address)] | None = None


class AuthConfig(BaseModel):
    """Who may send signals.

    Attributes:
        mode: `kubernetes`: whose token the cluster knows, and who may create the Service `gateway-service` in the
            controller namespace. `token`: whose token is in `token_file`. `none`: whoever connects; that is the default
            where `server.listen` is a loopback address, and must be said elsewhere.
        token_file: For `token`: a file with a line `TOKEN NAME` for each sender; read again when it changes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Literal["none", "token", "kubernetes"] = "none"
    token_file: Annotated[
        Path | None, _not_empty("a file, such as /var/run/secrets/senders/tokens"), Field(validate_default=True)
    ] = None

    @field_validator("token_file")
    @classmethod
    def _fits_mode(cls, token_file: Path | None, info: ValidationInfo) -> Path | None:
        mode = info.data.get("mode")  # absent when it is wrong itself
        if mode == "token" and token_file is None:
            raise ValueError(
                "it is required with auth.mode = token: name a file with a line TOKEN NAME for each sender"
            )
        if mode in ("none", "kubernetes") and token_file is not None:
            raise ValueError(f"is of no use with auth.mode = {mode}: set auth.mode to token, or leave it out")
        return token_file


class AuditConfig(BaseModel):
    """Where audit events go, and where they wait until they are there.

    Attributes:
        datastorage_url: URL of the DataStorage; there is no default.
        token_file: File with the bearer token that it wants, one line; read when the service starts. It must be good
            for writing.
        durability: What undelivered events survive. `process`, the default: the death of the process. `memory`:
            nothing but a DataStorage that comes back in time.
        spool_directory: Where they wait, and where those of a process that died are found again. Required unless
            durability is `memory`.
        max_spool_bytes: How much may wait there. With less than 1 MiB of room `/readyz` says no, without any signals
            are answered 503. 1 GiB unless it is set, 256 MiB in memory.
        required: Whether a DataStorage must answer when the service starts. If not, events wait for one; something
            else at the URL is an error in any case.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    datastorage_url: Annotated[str, AfterValidator(_http_url)]
    token_file: Annotated[Path | None, _not_empty("a file, such as /var/run/secrets/datastorage/token")] = None
    durability: Durability = "process"
    spool_directory: Annotated[
        Path | None, _not_empty("a directory, such as /var/lib/signal-gateway/spool"), Field(validate_default=True)
    ] = None
    max_spool_bytes: Annotated[int | None, Field(ge=4 * 1024 * 1024)] = None
    required: bool = False

    @field_validator("spool_directory")
    @classmethod
    def _fits_durability(cls, directory: Path | None, info: ValidationInfo) -> Path | None:
        durability = info.data.get("durability")  # absent when it is wrong itself
        if durability == "process" and directory is None:
            raise ValueError(
                "it is required: name a local directory where audit events wait for DataStorage and survive the"
                " process, or set audit.durability to memory, and they die with it"
            )
        if durability == "memory" and directory is not None:
            raise ValueError("is of no use with audit.durability = memory: leave one of them out")
        return directory

    @property
    def store(self) -> AuditStoreConfig:
        """What the audit store is made with."""
        limit = {} if self.max_spool_bytes is None else {"max_spool_bytes": self.max_spool_bytes}
        return AuditStoreConfig(durability=self.durability, spool_directory=self.spool_directory, **limit)


class KubernetesConfig(BaseModel):
    """Which cluster.

    Attributes:
        kubeconfig: Path of a kubeconfig; None to use the pod's own service account.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kubeconfig: Path | None = None


class LoggingConfig(BaseModel):
    """What is logged, to stderr.

    Attributes:
        level: The least level that is; of libraries, warnings at least.
        format: `json`: an object in a line for each record, with timestamp, level, logger, event and, where they
            apply, request_id, correlation_id and more. `console`: for people. Secrets are masked in both.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    level: LogLevel = "info"
    format: LogFormat = "json"


def _separated(value: object) -> object:
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


def _reference(text: str) -> str:
    if not _REFERENCE.fullmatch(text):
        raise ValueError("must be package.module:name, such as my_sources.falco:FalcoAdapter")
    return text


class ServiceConfig(BaseModel):
    """Everything that the service needs to know.

    Attributes:
        controller_namespace: Where RemediationRequests live; in a pod its own namespace, unless another one is said.
        processing: How requests and signals are handled.
        adapters: Sources of your own, each `package.module:name` of an adapter or of what makes one; in a variable
            separated by commas.
        server: Where the gateway listens.
        management: Where health and metrics are served.
        auth: Who may send signals.
        audit: Where audit events go.
        kubernetes: Which cluster.
        logging: What is logged.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    controller_namespace: NamespaceName = DEFAULT_NAMESPACE
    processing: ProcessingConfig = ProcessingConfig()
    adapters: Annotated[tuple[Annotated[str, AfterValidator(_reference)], ...], BeforeValidator(_separated)] = ()
    server: ServerConfig = ServerConfig()
    management: ManagementConfig = ManagementConfig()
    auth: Annotated[AuthConfig, Field(validate_default=True)] = AuthConfig()
    audit: AuditConfig
    kubernetes: KubernetesConfig = KubernetesConfig()
    logging: LoggingConfig = LoggingConfig()

    @field_validator("auth")
    @classmethod
    def _is_said_beyond_loopback(cls, auth: AuthConfig, info: ValidationInfo) -> AuthConfig:
        server = info.data.get("server")  # absent when it is wrong itself
        is_said = "mode" in auth.model_fields_set
        if server is not None and not is_said and not ip_address(_host_of(server.listen)).is_loopback:
            raise ValueError(
                f"auth.mode must be said, since server.listen = {server.listen} is not a loopback address: kubernetes, "
                "token, or none to let everybody send who can connect"
            )
        return auth

    @property
    def gateway(self) -> GatewayConfig:
        """What the gateway itself is built with."""
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
            environment: Where variables are looked up; the process's own by default.
            pod_namespace_file: What holds the pod's own namespace, in a pod.

        Raises:
            ConfigurationError: The file cannot be read, a key or a variable with our prefix is unknown, or a value
                is not allowed; the message lists everything at once, each with its source, key and value.
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
    ) -> tuple[Self, Sourced]:
        """Do what `load_from_file` does, and return where each setting comes from, too."""
        settings = Sourced()
        read_pod_namespace(pod_namespace_file, into=settings)
        read_yaml(Path(path), into=settings)
        read_environment(os.environ if environment is None else environment, into=settings)
        try:
            config = cls.model_validate(settings.tree())
        except ValidationError as exc:
            found = setting_errors(exc, cls)
        else:
            if not settings.problems:
                return config, settings
            found = []
        lines = settings.problems + [settings.explain(error, file=str(path)) for error in found]
        raise ConfigurationError("the configuration is wrong:\n" + "\n".join(f"  {line}" for line in lines))
