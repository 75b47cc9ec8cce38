"""The command line: `signal-gateway`, also `python -m signal_gateway`. Each command imports what it needs."""

import sys

import typer

from signal_gateway.commands.apiserver import serve_apiserver
from signal_gateway.commands.audit import export_events, list_events, show_case
from signal_gateway.commands.config import check_config, explain_config
from signal_gateway.commands.datastorage import purge, serve_datastorage
from signal_gateway.commands.demo import demo
from signal_gateway.commands.serve import serve
from signal_gateway.commands.spool import inspect_or_deliver_spool
from signal_gateway.commands.tail import tail_events
from signal_gateway.errors import SignalGatewayError

__all__ = ["main"]

app = typer.Typer(
    help="Alerts in, one RemediationRequest per problem out, and an audit trail that loses nothing.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("demo")(demo)
app.command("serve")(serve)
app.command("apiserver")(serve_apiserver)

config = typer.Typer(help="Look at the settings of `serve` before it runs.", no_args_is_help=True)
config.command("check")(check_config)
config.command("explain")(explain_config)
app.add_typer(config, name="config")

datastorage = typer.Typer(invoke_without_command=True)
datastorage.callback()(serve_datastorage)
datastorage.command("purge")(purge)
app.add_typer(datastorage, name="datastorage")

audit = typer.Typer(help="Look into the audit trail, and into what is on its way there.", no_args_is_help=True)
audit.command("list")(list_events)
audit.command("show")(show_case)
audit.command("tail")(tail_events)
audit.command("export")(export_events)
audit.command("spool")(inspect_or_deliver_spool)
app.add_typer(audit, name="audit")


def main() -> None:
    """Run the command line; a mistake of the user's is one line and exit status 2."""
    try:
        app()
    except SignalGatewayError as exc:
        sys.stderr.write(f"signal-gateway: {exc}\n")
        raise SystemExit(2) from exc
