"""The delivery of recorded events to DataStorage.

`flusher` (the deliveries) → `batch` (queues of pending records, bisection of a batch that was not accepted) and
`thread` (the background thread, which is started again after an unexpected end).
"""
