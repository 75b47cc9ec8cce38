"""`signal-gateway`, with RemediationRequests that get names by chance: what the replicas campaign has to notice."""

import secrets

from signal_gateway.cli import main
from signal_gateway.gateway.remediation import creation


def random_name(*, fingerprint: str, **_: object) -> str:
    return f"rr-{fingerprint[:12]}-{secrets.token_hex(4)}"


if __name__ == "__main__":
    creation.remediation_request_name = random_name
    main()
