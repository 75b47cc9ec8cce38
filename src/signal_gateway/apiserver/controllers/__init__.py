"""What a cluster does by itself: establish definitions, collect garbage, finish deletions."""
