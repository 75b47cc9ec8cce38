"""What goes out: deduplication, naming, creation, occurrence counts."""
