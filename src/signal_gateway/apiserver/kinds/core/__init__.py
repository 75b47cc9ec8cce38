"""The kinds of the core API group: defaults and validation.

- `namespaces`: namespaces.
- `nodes`: nodes.
- `pods`: pods, and the pod templates of workloads.
- `services`: services and endpoints.
- `configuration`: config maps and secrets.
- `volumes`: persistent volumes and claims.
- `events`: events of core/v1 and events.k8s.io/v1.
"""
