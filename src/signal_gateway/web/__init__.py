"""What every HTTP service here shares: problem+json, request ids, the body limit, serving."""
