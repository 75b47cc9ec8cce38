"""The parts that the whole API server shares, named after k8s.io/apimachinery.

- `serializer`: reads JSON and YAML, within bounds.
- `objects`: Kubernetes objects as plain JSON.
- `metadata`: decodes and validates object metadata.
- `resources`: the served resources, and their registry.
- `selectors`: label and field selectors.
- `quantities`: quantities such as `500m`.
- `status`: errors as Status objects.
"""
