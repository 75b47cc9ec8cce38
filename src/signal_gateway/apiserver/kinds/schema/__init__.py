"""The schemas of the built-in kinds.

- `strategy`: the strategy of a built-in kind, by its model, defaults and validation.
- `canonical`: the canonical form of an object.
- `models`: the fields of a kind, from lightkube's models.
"""
