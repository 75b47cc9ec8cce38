"""From the object that a signal names to the workload to remediate.

- `cache`: `DiscoveryCache` and `ObjectCache`, the kinds and the objects of the cluster.
- `resolver`: `TargetResolver`, which follows the owner chain; `Scope`, the targets that the gateway may act on.
- `explanation`: `explain_targets`, the candidates of alerts with the results of their search.
"""
