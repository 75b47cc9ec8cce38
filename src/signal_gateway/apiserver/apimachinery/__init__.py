"""Objects, metadata, selectors, quantities and Status errors: what every part of the API server shares."""
