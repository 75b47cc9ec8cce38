"""A source of your own: Falco, which posts one JSON object for each violation of a rule.

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
    """Parses one event of Falco's `http_output`: the rule becomes the name of the signal, the pod its target.

    The gateway resolves the owner of the pod. An adapter does no I/O and keeps no state.
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
        """Return one result: the signal, or the reason why the event is not a valid one.

        Raises:
            InvalidPayload: The body is not an event of Falco.
        """
        event = json_object(body)
        if not isinstance(event.get("rule"), str) or not isinstance(event.get("output_fields"), dict):
            raise InvalidPayload('The body is not an event of Falco: it needs a "rule" and "output_fields".')
        try:
            return [self._read(event, event["output_fields"], received_at)]
        except InvalidItem as exc:
            return [InvalidSignal(reason=exc.reason, message=exc.message, source=self.name)]

    def _read(self, event: dict[str, Any], fields: dict[str, Any], received_at: datetime) -> ParsedSignal:
        obstacle = unrepresentable(event)
        if obstacle is not None:
            raise InvalidItem("unrepresentable", f"The event cannot be stored: {obstacle}.")
        rule, priority = event["rule"], str(event.get("priority") or "unknown")
        if not 1 <= len(rule) <= MAX_NAME_LENGTH:
            raise InvalidItem("name", f'"rule" has {len(rule)} characters; it must have 1 to {MAX_NAME_LENGTH}.')
        namespace, pod = fields.get("k8s.ns.name"), fields.get("k8s.pod.name")
        if not isinstance(namespace, str) or not isinstance(pod, str):
            raise InvalidItem("no_target", "The event names no pod: let Falco collect k8s.ns.name and k8s.pod.name.")
        target = Target(kind="Pod", name=pod, namespace=namespace, api_version="v1")
        if priority in HARMLESS:
            message = f"{rule} has the priority {priority}, which needs no remediation."
            return RejectedSignal(
                reason="harmless", message=message, source=self.name, resource=str(target), name=rule, severity=priority
            )
        try:
            happened_at = parse_rfc3339(str(event.get("time")))
        except ValueError as exc:
            raise InvalidItem("time", f'"time": {exc}.') from exc
        if happened_at > received_at + CLOCK_SKEW:
            raise InvalidItem("from_the_future", f"The event is of {happened_at}, in the future: synchronize clocks.")
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
