"""The delivery of recorded events to DataStorage.

`flusher` (the background thread) → `batch` (queues of pending records, bisection of a batch that was not accepted).
"""
