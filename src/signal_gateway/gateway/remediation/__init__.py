"""From a signal to the outcome: deduplication, creation and counting of RemediationRequests.

- `outcome`: `Incoming`, `Prepared` and `Outcome`, a signal on its way.
- `dispatcher`: `Dispatcher`, the order in which signals are decided, and the decision.
- `preparation`: `Preparation`, which resolves the target and applies the scope.
- `deduplication`: `decide`, the decision table; `ActiveConflicts`, which reports several active RemediationRequests;
  `Notifications`, the signals of failed requests, which retries take over.
- `creation`: `Creation` and `CreationAudit`, a new RemediationRequest and the audit events of its creation.
- `occurrence`: `OccurrenceCounter`, the group commit of duplicates.
- `restoration`: what a RemediationRequest can be rebuilt from, in the event of its creation.
- `requests`: `RemediationRequests`, the repository; the name and the content of a RemediationRequest.
"""
