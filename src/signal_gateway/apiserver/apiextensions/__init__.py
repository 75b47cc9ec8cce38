"""CustomResourceDefinitions: structural schemas, validation rules, CEL."""
