"""The controllers of a cluster, which run before the request that triggers them gets its response.

- `cluster_controllers`: the entry point, called after each write and for each deletion.
- `definition_controller`: establishes and removes CustomResourceDefinitions.
- `namespace_controller`: empties and removes namespaces.
- `garbage_collector`: deletes or orphans the dependents of deleted owners.
- `deletion`: finalizers, propagation policies and the deletion mark.
"""
