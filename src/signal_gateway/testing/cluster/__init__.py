"""Kubernetes for tests: an embedded cluster, or a namespace on an existing one.

- `cluster`: the `Cluster` protocol and `EmbeddedCluster`
- `existing`: `ExistingCluster`, a namespace on a running cluster
- `clients`: the Kubernetes clients of a cluster
- `kubeconfig`: the kubeconfig of an embedded cluster
- `manifests`: reads Kubernetes objects from files and dicts
- `workload`: the objects of a workload, such as a Deployment with its ReplicaSet and pods
"""
