"""The command line: `signal-gateway`, also `python -m signal_gateway`. Each command imports its parts when it runs."""

import sys
from typing import Annotated

import typer

from signal_gateway.commands.apiserver import serve_apiserver
from signal_gateway.commands.audit import export_events, list_events, show_case
from signal_gateway.commands.cases import list_cases
from signal_gateway.commands.datastorage import purge, serve_datastorage
from signal_gateway.commands.gateway import check_config, explain_config, serve_gateway
from signal_gateway.commands.integrity import (
    list_holds,
    place_hold,
    reconstruct_request,
    release_hold,
    verify_events,
)
from signal_gateway.commands.output import complete_output
from signal_gateway.commands.spool import (
    OLD_FORM,
    SpoolGroup,
    deliver_spool,
    inspect_or_deliver_spool,
    list_spool,
    repair_damaged_files,
    retry_rejected_events,
)
from signal_gateway.commands.tail import tail_events
from signal_gateway.commands.targets import explain_target
from signal_gateway.errors import SignalGatewayError

__all__ = ["main"]

_MIN_DEMO_WIDTH = 110  # columns, for one table row; a narrower terminal wraps it

app = typer.Typer(
    help="Turn alerts into one RemediationRequest per problem, with a complete audit trail.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


@app.command()
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="keep everything running until Ctrl-C")] = False,
) -> None:
    """Start all parts on loopback, send alerts, and show the outcome."""
    from rich.console import Console

    from signal_gateway.demo import run_demo

    run_demo(Console(width=max(Console().width, _MIN_DEMO_WIDTH)), keep=keep)


app.command("serve")(serve_gateway)
app.command("apiserver")(serve_apiserver)
app.command("explain-target")(explain_target)

config = typer.Typer(help="Check and explain the settings of `serve`.", no_args_is_help=True)
config.command("check")(check_config)
config.command("explain")(explain_config)
app.add_typer(config, name="config")

datastorage = typer.Typer(invoke_without_command=True)
datastorage.callback()(serve_datastorage)
datastorage.command("purge")(purge)
app.add_typer(datastorage, name="datastorage")

audit = typer.Typer(help="Query the audit trail, and inspect the spool of undelivered events.", no_args_is_help=True)
audit.command("list")(list_events)
audit.command("cases")(list_cases)
audit.command("show")(show_case)
audit.command("tail")(tail_events)
audit.command("export")(export_events)
audit.command("verify")(verify_events)
audit.command("hold")(place_hold)
audit.command("holds")(list_holds)
audit.command("release")(release_hold)
audit.command("reconstruct")(reconstruct_request)

spool = typer.Typer(cls=SpoolGroup, help="Show, deliver and repair the events in a spool.", no_args_is_help=True)
spool.command("list")(list_spool)
spool.command("deliver")(deliver_spool)
spool.command("retry")(retry_rejected_events)
spool.command("repair")(repair_damaged_files)
spool.command(OLD_FORM, hidden=True)(inspect_or_deliver_spool)
audit.add_typer(spool, name="spool")
app.add_typer(audit, name="audit")


def main() -> None:
    """Run the command line. A user error prints one line and exits with status 2."""
    try:
        with complete_output():
            app()
    except SignalGatewayError as exc:
        sys.stderr.write(f"signal-gateway: {exc}\n")
        raise SystemExit(2) from exc
