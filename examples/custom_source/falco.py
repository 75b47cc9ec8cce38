"""A source of your own: Falco, which posts one JSON object for each rule that something in a pod breaks.

Source: https://falco.org/docs/outputs/channels/ ("HTTP/HTTPS Output")
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from signal_gateway.gateway.signals import (
    CLOCK_SKEW,
    MAX_NAME_LENGTH,
    InvalidItem,
    InvalidPayload,
    InvalidSignal,
    ParsedSignal,
    RejectedSignal,
    Signal,
    Target,
    json_object,
    parse_rfc3339,
    unrepresentable,
)

HARMLESS = ("Notice", "Informational", "Debug")


class FalcoAdapter:
    """Reads one event of Falco's `http_output`: its rule is the signal's name, the pod that broke it the target.

    The gateway finds out who owns the pod; an adapter asks nobody and keeps nothing.
    """

    name = "falco"
    signal_type = "alert"
    body_schema: Mapping[str, Any] = {
        "type": "object",
        "required": ["rule", "priority", "time", "output_fields"],
        "properties": {
            "rule": {"type": "string", "minLength": 1, "maxLength": MAX_NAME_LENGTH},
            "priority": {"type": "string"},
            "time": {"type": "string", "format": "date-time"},
            "output": {"type": "string"},
            "output_fields": {
                "type": "object",
                "properties": {"k8s.ns.name": {"type": "string"}, "k8s.pod.name": {"type": "string"}},
            },
        },
    }

    def parse(self, body: bytes, *, received_at: datetime) -> Sequence[ParsedSignal]:
        """Return the one signal, or why it is none.

        Raises:
            InvalidPayload: It is no event of Falco's.
        """
        event = json_object(body)
        if not isinstance(event.get("rule"), str) or not isinstance(event.get("output_fields"), dict):
            raise InvalidPayload('The body is no event of Falco: it needs a "rule" and "output_fields".')
        try:
            return [self._read(event, event["output_fields"], received_at)]
        except InvalidItem as exc:
            return [InvalidSignal(reason=exc.reason, message=exc.message, source=self.name)]

    def _read(self, event: dict[str, Any], fields: dict[str, Any], received_at: datetime) -> ParsedSignal:
        why = unrepresentable(event)
        if why is not None:
            raise InvalidItem("unrepresentable", f"The event cannot be kept as it is: {why}.")
        rule, priority = event["rule"], str(event.get("priority") or "unknown")
        if not 1 <= len(rule) <= MAX_NAME_LENGTH:
            raise InvalidItem("name", f'"rule" has {len(rule)} characters; it must have 1 to {MAX_NAME_LENGTH}.')
        namespace, pod = fields.get("k8s.ns.name"), fields.get("k8s.pod.name")
        if not isinstance(namespace, str) or not isinstance(pod, str):
            raise InvalidItem("no_target", "The event names no pod: have Falco collect k8s.ns.name and k8s.pod.name.")
        target = Target(kind="Pod", name=pod, namespace=namespace, api_version="v1")
        if priority in HARMLESS:
            message = f"{rule} has the priority {priority}; nobody needs to remedy that."
            return RejectedSignal(
                reason="harmless", message=message, source=self.name, resource=str(target), name=rule, severity=priority
            )
        try:
            happened_at = parse_rfc3339(str(event.get("time")))
        except ValueError as exc:
            raise InvalidItem("time", f'"time": {exc}.') from exc
        if happened_at > received_at + CLOCK_SKEW:
            raise InvalidItem("from_the_future", f"The event is of {happened_at}, the future: compare the clocks.")
        return Signal(
            name=rule,
            severity=priority,
            status="firing",
            source=self.name,
            target=target,
            namespace=namespace,
            labels={"rule": rule, "priority": priority, "pod": pod, "namespace": namespace},
            annotations={"output": str(event.get("output", ""))},
            fired_at=happened_at,
            received_at=received_at,
            payload=event,
        )
