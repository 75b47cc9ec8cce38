"""RemediationRequest as lightkube classes over plain dicts.

The classes are not in lightkube's registry, where they would clash with your own definition of the same kind.
"""

from lightkube.core.resource import ApiInfo, ResourceDef
from lightkube.generic_resource import (
    GenericNamespacedResource,
    GenericNamespacedStatus,
    create_api_info,
)

from signal_gateway.kubernetes.index import GROUP, KIND, PLURAL, VERSION

__all__ = ["RemediationRequest", "RemediationRequestStatus"]


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
