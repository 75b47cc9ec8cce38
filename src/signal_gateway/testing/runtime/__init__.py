"""Loop threads and live servers."""
