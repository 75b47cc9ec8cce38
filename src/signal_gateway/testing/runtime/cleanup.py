"""Run every step of a teardown, whatever the ones before it raised."""

from collections.abc import Callable

from signal_gateway.errors import HarnessError

__all__ = ["run_all"]


def run_all(subject: str, *steps: Callable[[], object]) -> None:
    """Run the steps in order, all of them, and raise what they raised together.

    Args:
        subject: What is being torn down, for the error.
        steps: Callables without arguments; each bounds its own time.

    Raises:
        HarnessError: From the one exception, or from an `ExceptionGroup` of several.
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
