"""The state of a cluster in memory.

- `store`: the current objects, and one revision that grows with each write.
- `change_log`: the newest changes of each resource, for watches.
"""
