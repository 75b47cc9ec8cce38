"""Long trials of the audit store that find out whether it loses, repeats or misreports anything.

`python -m tests.campaigns.faults` lets DataStorage misbehave in every way, `python -m tests.campaigns.kill` kills the
store's process over and over. Both keep books apart from the store, and compare them with what DataStorage has.
`python -m tests.campaigns.busy` runs suites of the plugin on a machine with more work than processors.
"""
