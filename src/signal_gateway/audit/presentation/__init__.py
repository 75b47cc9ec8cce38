"""Stored events for people: `workload` (the object that an event is about) and `event_csv` (rows for spreadsheets)."""
