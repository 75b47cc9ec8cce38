"""Handlers of requests for resources, by verb.

- `request_info`: verb and resource of a request.
- `resource_handler`: the entry point, which passes each request to the handler of its verb.
- `negotiation`: content negotiation by the Accept header.
- `decoding`: objects and patches in request bodies.
- `patches`, `strategic_merge_patch`: the patch formats.
- `reads`: get and list.
- `writes`: create, update and patch.
- `deletes`: delete, deletecollection and the eviction of pods.
- `scale`: the scale subresource.
- `reviews`: token and access reviews.
- `watch`: streams of changes.
- `responses`: HTTP responses and the client connection.
"""
