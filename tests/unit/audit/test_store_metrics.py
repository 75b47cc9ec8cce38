"""A store's metrics: on the registry that is passed in, equal to its stats, and gone with nobody."""

import gc
import warnings
import weakref

import prometheus_client
import pytest
from prometheus_client import CollectorRegistry

from signal_gateway.audit import AuditStoreClosed, AuditStoreConfig, BufferedAuditStore, DataStorageClient
from signal_gateway.errors import ConfigurationError

DEADLINE = 60.0
TYPES = {
    "audit_events_recorded": "counter",
    "audit_events_delivered": "counter",
    "audit_events_rejected": "counter",
    "audit_events_omitted": "counter",
    "audit_events_refused": "counter",
    "audit_events_adopted": "counter",
    "audit_events_pending": "gauge",
    "audit_delivery_retries": "counter",
    "audit_oldest_pending_seconds": "gauge",
    "audit_delivery_seconds": "histogram",
}


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def make_metered(fault_server, durability, registry):
    """Make stores whose metrics are on the registry; they are closed at the end and not kept alive until then."""
    made = weakref.WeakSet()

    def make(**config):
        settings = AuditStoreConfig(**{**durability, "initial_backoff": 0.002, "max_backoff": 0.01, **config})
        store = BufferedAuditStore(
            DataStorageClient(fault_server.url), service="shop", config=settings, registry=registry
        )
        made.add(store)
        return store

    yield make
    for store in list(made):
        store.close(timeout=1.0)


def sample(registry, name):
    return registry.get_sample_value(name)


def figures(registry):
    return {
        sample.name: sample.value for metric in registry.collect() for sample in metric.samples if not sample.labels
    }


def test_metrics_have_their_names_and_types_and_a_help_text(registry, make_metered):
    with make_metered():
        metrics = list(registry.collect())

    assert {metric.name: metric.type for metric in metrics} == TYPES
    assert all(metric.documentation.endswith(".") for metric in metrics)


def test_figures_are_those_of_the_stats(fault_server, registry, make_metered, make_event):
    fault_server.script(fault_server.status(503))
    fault_server.always(fault_server.refusing(lambda event: event.get("severity") == "bad", named=True))
    store = make_metered(linger=3600)
    for number in range(7):
        store.record(make_event(number, severity="bad" if number < 2 else "fine"))
    store.flush(timeout=DEADLINE)
    for number in range(3):
        store.record(make_event(number))
    before_closing = {name: sample(registry, name) for name in ("audit_events_pending", "audit_oldest_pending_seconds")}
    oldest = store.stats.oldest_pending_age
    store.close(timeout=DEADLINE)
    with pytest.raises(AuditStoreClosed):
        store.record(make_event())

    stats = store.stats

    assert before_closing["audit_events_pending"] == 3
    assert 0 < before_closing["audit_oldest_pending_seconds"] <= oldest
    assert (stats.recorded, stats.delivered, stats.rejected, stats.refused) == (10, 8, 2, 1)
    assert sample(registry, "audit_events_recorded_total") == 10
    assert sample(registry, "audit_events_delivered_total") == 8
    assert sample(registry, "audit_events_rejected_total") == 2
    assert sample(registry, "audit_events_refused_total") == 1
    assert sample(registry, "audit_events_pending") == 0
    assert sample(registry, "audit_oldest_pending_seconds") == 0
    assert sample(registry, "audit_delivery_retries_total") == stats.retries == 1
    assert sample(registry, "audit_delivery_seconds_count") == stats.batches
    assert sample(registry, "audit_delivery_seconds_sum") > 0


def test_recovered_events_are_counted(open_store, leave_behind, registry):
    leave_behind(6)

    open_store(registry=registry).close(timeout=DEADLINE)

    assert sample(registry, "audit_events_adopted_total") == 6
    assert sample(registry, "audit_events_delivered_total") == 0


def test_figures_stay_after_the_close(registry, make_metered, make_event):
    store = make_metered()
    store.record(make_event())
    store.close(timeout=DEADLINE)

    first, second = figures(registry), figures(registry)

    assert first == second
    assert first["audit_events_recorded_total"] == first["audit_events_delivered_total"] == 1


def test_registry_keeps_no_store_alive_and_tells_the_last_figures(registry, make_metered, make_event):
    store = make_metered()
    store.record(make_event())
    store.close(timeout=DEADLINE)
    registered = figures(registry)
    gone = weakref.ref(store)

    del store
    gc.collect()

    assert gone() is None
    assert figures(registry) == registered


def test_second_store_on_a_registry_is_an_error_and_leaves_nothing_behind(
    fault_server, registry, make_metered, make_event, spool_directory
):
    first = make_metered()
    first.record(make_event())
    files = sorted(spool_directory.iterdir()) if spool_directory.exists() else []

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match=r"Duplicated timeseries.*audit_"):
            make_metered()
        gc.collect()

    assert (sorted(spool_directory.iterdir()) if spool_directory.exists() else []) == files
    assert first.close(timeout=DEADLINE).ok
    assert sample(registry, "audit_events_recorded_total") == 1
    assert len(fault_server.stored) == 1


def test_store_that_could_not_be_made_leaves_the_registry_free(registry, open_store, make_event, tmp_path):
    (tmp_path / "spool").write_text("a file in its place")
    with pytest.raises(ConfigurationError):
        open_store(registry=registry)
    (tmp_path / "spool").unlink()

    store = open_store(registry=registry)
    store.record(make_event())

    assert sample(registry, "audit_events_recorded_total") == 1


def test_nothing_goes_to_the_registry_of_the_process(make_metered, make_store, make_event):
    make_store().record(make_event())
    with make_metered() as store:
        store.record(make_event())

    names = {metric.name for metric in prometheus_client.REGISTRY.collect()}

    assert not names & TYPES.keys()
