"""The background flusher and its batches."""
