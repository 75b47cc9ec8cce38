"""The gateway: a stateless service that turns signals into RemediationRequests.

`config`, `signals` (parsing), `audit`, `targets` and `resilience` (the parts that a remediation needs), `remediation`,
`http`, `metrics`, `timestamps`, `factory` (assembly), `service` (the process).
"""
