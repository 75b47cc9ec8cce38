"""Teardown in steps: a step that fails does not prevent the steps after it."""

from collections.abc import Callable

from signal_gateway.errors import HarnessError

__all__ = ["run_all"]


def run_all(subject: str, *steps: Callable[[], object]) -> None:
    """Run all steps in order, then raise their exceptions as one error.

    Args:
        subject: The object of the teardown, for the error.
        steps: Callables without arguments. Each one limits its own time.

    Raises:
        HarnessError: At least one step failed. The cause is its exception, or an `ExceptionGroup` of several.
    """
    errors: list[Exception] = []
    for step in steps:
        try:
            step()
        except Exception as exc:  # noqa: BLE001 - collected and raised below
            errors.append(exc)
    if not errors:
        return

    cause = errors[0] if len(errors) == 1 else ExceptionGroup(f"{subject} did not stop cleanly", errors)
    raise HarnessError(f"{subject} did not stop cleanly: " + "; ".join(str(error) for error in errors)) from cause
