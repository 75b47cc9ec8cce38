"""A pytest plugin: measures the whole protocol of each test, set-up and teardown included, and keeps it as JSON."""

import json
import os
import time
from collections import defaultdict

import pytest

FIGURES: defaultdict[str, list[float]] = defaultdict(list)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item):
    start = time.perf_counter()
    result = yield
    FIGURES[item.function.__name__].append((time.perf_counter() - start) * 1000)
    return result


def pytest_sessionfinish():
    with open(os.environ["BENCHMARK_FIGURES"], "w") as file:
        json.dump(FIGURES, file)
