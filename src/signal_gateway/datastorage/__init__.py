"""DataStorage: the service that keeps audit events."""

from signal_gateway.datastorage.factory import DataStorage, create_datastorage

__all__ = ["DataStorage", "create_datastorage"]
