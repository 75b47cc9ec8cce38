"""Addresses in labels: the host of a scrape target, and the Service that a host name means."""

import ipaddress

__all__ = ["host_of", "is_address", "service_of"]


def host_of(address: str) -> str:
    """Return the host of an address such as `10.0.0.1:9100`, `[fd00::1]:9100` or `redis://db.prod.svc:6379`."""
    rest = address.partition("://")[2] or address
    rest = rest.partition("/")[0]
    if rest.startswith("["):
        return rest[1:].partition("]")[0]
    return rest.partition(":")[0] if rest.count(":") == 1 else rest


def service_of(name: str) -> tuple[str, str] | None:
    """Return name and namespace of a Service from a host name, such as `db-0.db.prod.svc.cluster.local`."""
    parts = name.split(".")
    if len(parts) < 3 or "svc" not in parts[2:4]:
        return None
    at = parts.index("svc")
    return parts[at - 2], parts[at - 1]


def is_address(text: str) -> bool:
    """Return whether a text is an IP address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
