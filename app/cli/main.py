"""The verbs put together. No verb means ``serve``."""

import io
import os
import sys
import traceback
from importlib import import_module
from importlib.metadata import version as installed_version

import click

from app import VERSION
from app.cli.context import CANNOT_RUN, Refusal, Workplace, json_option, print_json, verb
from app.hints import PROGRAM

DEBUG = "SCEPBOX_DEBUG"


# The modules of each verb. They are loaded when it is called, so that none waits for what others need.
_VERBS = {
    "admin": ("admin",),
    "backup": ("backup",),
    "ca": ("ca",),
    "cert": ("cert",),
    "challenge": ("challenge", "challenge_import"),
    "crl": ("crl",),
    "db": ("db",),
    "doctor": ("doctor",),
    "enroll": ("enroll",),
    "explain": ("explain",),
    "init": ("init",),
    "inspect": ("inspect",),
    "log": ("log", "audit_log", "replay"),
    "reload": ("reload",),
    "request": ("request",),
    "restore": ("backup",),
    "serve": ("serve",),
}


class _Verbs(click.Group):
    """All verbs. Without one it is ``serve``, whatever options follow."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] not in ("--help", "-h", "--version")):
            args = ["serve", *args]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted((*super().list_commands(ctx), *_VERBS))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        modules = [import_module(f"app.cli.{name}") for name in _VERBS.get(cmd_name, ())]
        if not modules:
            return super().get_command(ctx, cmd_name)
        commands = (one for one in vars(modules[0]).values() if isinstance(one, click.Command))
        return next(one for one in commands if one.name == cmd_name)


@click.group(cls=_Verbs, context_settings={"help_option_names": ["--help", "-h"]})
@click.version_option(VERSION, prog_name="scepbox")
def top() -> None:
    """scepbox: a SCEP certificate authority (RFC 8894) in a box. Without a verb it serves."""


@top.command()
@json_option
@verb
def version(_: Workplace, as_json: bool) -> None:
    """Say which scepbox this is, and on what it runs."""
    parts = {
        "scepbox": VERSION,
        "python": sys.version.split()[0],
        "cryptography": installed_version("cryptography"),
        "openssl": _openssl(),
    }
    if as_json:
        print_json(parts)
        return
    for name, text in parts.items():
        click.echo(f"{name} {text}")


def _openssl() -> str:
    from cryptography.hazmat.backends.openssl import backend

    return backend.openssl_version_text().removeprefix("OpenSSL ")


def main() -> None:
    """Run the command line; what goes wrong is told in one line, with where to read on."""
    for stream in (sys.stdout, sys.stderr):
        # A name in a script that the terminal does not have is shown all the same.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        sys.exit(_run())
    except BrokenPipeError:
        # Whoever read our output has seen enough; what is left must not be written at the end either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(CANNOT_RUN)
    except Exception as error:
        if os.environ.get(DEBUG):
            traceback.print_exc()
        what = " ".join(f"{type(error).__name__}: {error}".split())
        click.echo(f"scepbox: internal error: {what} (run with {DEBUG}=1 for the traceback)", err=True)
        sys.exit(CANNOT_RUN)


def _run() -> int:
    try:
        code = top(prog_name="run.py", standalone_mode=False)
        sys.stdout.flush()
    except Refusal as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        path = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "run.py"
        message = " ".join(error.format_message().split())
        message += "" if message.endswith((".", "?", "!")) else "."
        click.echo(f"scepbox: {message} See: {PROGRAM}{path.removeprefix('run.py')} --help", err=True)
        return CANNOT_RUN
    except click.Abort:
        click.echo("scepbox: interrupted", err=True)
        return CANNOT_RUN
    return code if isinstance(code, int) else 0
