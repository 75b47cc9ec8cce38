"""Exploration: requests that Schemathesis makes from an OpenAPI description, and what must hold of every answer."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import requests
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

__all__ = ["Exploration"]

_CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]

Change = Callable[[Case, st.DataObject], None]


class Exploration:
    """Makes requests, the same ones in every run: none is drawn anew.

    Args:
        url: Of the server.
        session: Sends them.
        headers: Sent with each.
        examples: How many of an operation and mode.

    Attributes:
        statuses: How often each was answered.
    """

    def __init__(self, url: str, *, session: requests.Session, headers: dict[str, str], examples: int) -> None:
        self.statuses: Counter[int] = Counter()
        self._url = url
        self._session = session
        self._headers = headers
        self._examples = examples

    def explore(self, operation: Any, mode: GenerationMode, change: Change | None = None) -> None:
        """Make requests of an operation, right or wrong ones.

        Args:
            operation: Of a schema of Schemathesis's.
            mode: Whether they are as described.
            change: Makes of each request what a schema can't tell.
        """

        @settings(
            max_examples=self._examples,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode), data=st.data())
        def ask(case: Case, data: st.DataObject) -> None:
            if change is not None:
                change(case, data)
            response = case.call(base_url=self._url, session=self._session, headers=self._headers)
            self.statuses[response.status_code] += 1
            case.validate_response(response, checks=_CHECKS)

        ask()

    def assert_a_fifth_went_well(self) -> None:
        """Insist that a server was not only asked for what it refuses."""
        went_well = sum(count for status, count in self.statuses.items() if status < 300)
        assert went_well >= self.statuses.total() / 5, self.statuses
