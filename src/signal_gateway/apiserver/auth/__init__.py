"""Authentication and authorization from two tables, in place of a real cluster's authenticators and RBAC.

- `authentication`: users by bearer token.
- `authorization`: rules that allow users to send requests.
"""
