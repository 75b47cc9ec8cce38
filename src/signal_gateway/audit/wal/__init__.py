"""The write-ahead log of an audit store: recorded events in segments until they are settled.

`log` (append, peek, ack) → `segment` (frames, cursor) → `origin`, `buffer` (bytes in memory or a file) → `directory`
(creation and removal of segments) → `ownership` (lock files) → `rejected` (rejected events) → `recovery` (orphaned
segments) → `inspect`, `rejected_file`, `repair` (for people).
"""
