"""One module for each revision, numbered; what a release has shipped is never changed."""
