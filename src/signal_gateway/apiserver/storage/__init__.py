"""The cluster state in memory: objects by key, one growing revision, a change log for each resource."""
