"""The bodies of the pytest plugin: session, suite, settings, guards, reports."""
