"""The verbs: read, write, patch, watch, and the subresources."""
