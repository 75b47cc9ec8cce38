"""CustomResourceDefinitions and custom resources, named after k8s.io/apiextensions-apiserver.

- `definitions`: the strategy of CustomResourceDefinitions, and the resources that they define.
- `structural`: the requirements for the schema of a definition.
- `schema`: the strategy of custom resources, by their schema.
- `validation_rules`: `x-kubernetes-validations`.
- `cel`: the expressions of validation rules.
"""
