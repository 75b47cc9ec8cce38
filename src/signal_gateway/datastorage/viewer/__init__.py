"""The web page that shows the audit trail to people: a search, and one correlation id as a timeline."""

from signal_gateway.datastorage.viewer.pages import Viewer

__all__ = ["Viewer"]
