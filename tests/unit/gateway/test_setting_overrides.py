"""The TypedDicts of settings have the keys and the types of their models."""

import types
import typing
from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import BaseModel

from signal_gateway.audit.config import AuditStoreConfig, AuditStoreOverrides
from signal_gateway.gateway import overrides
from signal_gateway.gateway.config import (
    BreakerConfig,
    ExporterConfig,
    GatewayConfig,
    ProcessingConfig,
    RetryConfig,
    ScopeConfig,
    TargetsConfig,
)

PAIRS = {
    GatewayConfig: overrides.GatewayOverrides,
    ProcessingConfig: overrides.ProcessingOverrides,
    RetryConfig: overrides.RetryOverrides,
    BreakerConfig: overrides.BreakerOverrides,
    ScopeConfig: overrides.ScopeOverrides,
    TargetsConfig: overrides.TargetsOverrides,
    ExporterConfig: overrides.ExporterOverrides,
    AuditStoreConfig: AuditStoreOverrides,
}


def accepted(annotation):
    """The types that a field of this type accepts: a nested model as a dict, too, and a path as text."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return frozenset().union(*map(accepted, typing.get_args(annotation)))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return frozenset({annotation, PAIRS[annotation]})
    if typing.get_origin(annotation) is Mapping:
        key, value = typing.get_args(annotation)
        if isinstance(value, type) and issubclass(value, BaseModel):
            return frozenset({Mapping[key, PAIRS[value] | value]})
    return frozenset({Path, str}) if annotation is Path else frozenset({annotation})


def declared(annotation):
    """The members of a declared type."""
    is_union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    return frozenset(typing.get_args(annotation)) if is_union else frozenset({annotation})


@pytest.mark.parametrize("model", PAIRS, ids=lambda model: model.__name__)
def test_typed_dict_has_the_keys_and_types_of_its_model(model):
    fields = {name: accepted(hint) for name, hint in typing.get_type_hints(model).items() if name in model.model_fields}
    typed_dict = PAIRS[model]

    assert {name: declared(hint) for name, hint in typing.get_type_hints(typed_dict).items()} == fields
    assert typed_dict.__required_keys__ == frozenset()


def test_every_nested_settings_model_has_a_typed_dict():
    nested = {
        hint
        for model in PAIRS
        for hint in typing.get_type_hints(model).values()
        if isinstance(hint, type) and issubclass(hint, BaseModel)
    }

    assert nested <= set(PAIRS)
    assert set(overrides.__all__) <= {typed_dict.__name__ for typed_dict in PAIRS.values()}
