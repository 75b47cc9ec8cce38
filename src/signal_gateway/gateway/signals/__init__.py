"""What came in: one adapter per source, the target, the fingerprint."""
