"""Integrity: the chain of links over stored events, as pure functions without a database.

Modules, in the order of the data: `link` (hashes of events, manifests, links and the head), `checkpoint` (a position
that is kept elsewhere), `columns` (columns that repeat the envelope), `verification` (the verdict).
"""
