"""From what a signal names to the workload that it is about: discovery, object cache, owner chain, scope."""
