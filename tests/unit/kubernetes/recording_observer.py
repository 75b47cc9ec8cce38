"""RecordingObserver: keeps the calls of a Kubernetes client."""


class RecordingObserver:
    """Keeps verb, resource and code of each call."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, str]] = []

    def observe_call(self, verb: str, resource: str, code: str) -> None:
        self.calls.append((verb, resource, code))
