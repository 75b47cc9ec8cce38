"""An embedded Kubernetes API server for tests and local work. Depends on no other room but `web`."""
