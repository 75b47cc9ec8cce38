"""The write-ahead log: segments in memory or in a spool directory, recovery of orphaned ones, rejected events."""
