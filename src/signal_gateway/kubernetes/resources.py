"""The resources that the client reads and writes, as lightkube classes over plain dicts.

They are not entered in lightkube's registry: there they would clash with a user's own definition of the same kind.
"""

from lightkube.core.resource import ApiInfo, ResourceDef
from lightkube.generic_resource import (
    GenericGlobalResource,
    GenericNamespacedResource,
    GenericNamespacedStatus,
    create_api_info,
)

from signal_gateway.kubernetes.remediation_request import GROUP, KIND, PLURAL, VERSION

__all__ = ["Namespace", "RemediationRequest", "RemediationRequestStatus"]


class Namespace(GenericGlobalResource):
    """A core/v1 Namespace, whole; lightkube's own model drops what it does not know."""

    _api_info = create_api_info("", "v1", "Namespace", "namespaces")


class RemediationRequest(GenericNamespacedResource):
    """A RemediationRequest."""

    _api_info = create_api_info(GROUP, VERSION, KIND, PLURAL)


class RemediationRequestStatus(GenericNamespacedStatus):
    """The status subresource of a RemediationRequest."""

    _api_info = ApiInfo(
        resource=ResourceDef(GROUP, VERSION, KIND),
        parent=ResourceDef(GROUP, VERSION, KIND),
        plural=PLURAL,
        verbs=["get", "patch", "put"],
        action="status",
    )
