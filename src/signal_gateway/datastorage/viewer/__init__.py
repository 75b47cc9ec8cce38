"""The viewer: HTML pages that search the audit trail and show one correlation id as a timeline.

Modules, in the order of a request: `pages` (the endpoints), `search` (the query string), `paging` (pages in both
directions), `chart` (events over time), `event_view` (one event), `times` (texts of times), `assets` (static files).
"""

from signal_gateway.datastorage.viewer.pages import Viewer

__all__ = ["Viewer"]
