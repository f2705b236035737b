"""The `anyon` command: one file per command, loaded when it is used."""

from __future__ import annotations

import importlib
import sys
from typing import NoReturn

import click

from anyon._version import __version__

COMMANDS = {
    "transcribe": "Turn speech into text.",
    "models": "List the models that have a name, and what is in the cache.",
    "inspect": "Show what a bundle or a checkpoint holds.",
    "verify": "Check a bundle's hashes and its signature.",
    "bench": "Measure a model on this machine, op by op if asked.",
    "doctor": "Say what this machine can run, and why.",
    "quantize": "Make a bundle with smaller weights; no PyTorch needed.",
    "export": "Make a bundle from a checkpoint through PyTorch and ONNX, checked step by step.",
}


class LazyGroup(click.Group):
    """Knows its commands by name and imports one only to run it or show its help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"anyon.cli.{cmd_name}_command").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        import difflib

        close = difflib.get_close_matches(args[0], COMMANDS, n=1) if args else []
        if args and args[0] not in COMMANDS and close and not args[0].startswith("-"):
            raise click.UsageError(f"No such command {args[0]!r} (did you mean {close[0]}?)", ctx)
        return super().resolve_command(ctx, args)


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="""\b
Examples:
  anyon transcribe talk.mp3                 print the text
  anyon transcribe talk.mp3 -f srt -o .     write talk.srt here
  anyon transcribe --demo                   try it on a recording that comes with anyon[demo]
  anyon doctor                              what runs on this machine

`anyon COMMAND --help` explains a command.""",
)
@click.version_option(__version__, prog_name="anyon")
def group() -> None:
    """Speech models on the device in front of you."""


def main() -> NoReturn:
    """Entry point. Exit codes: 0 done, 1 something failed, 2 wrong usage, 130 interrupted."""
    from anyon.errors import AnyonError

    try:
        code = group.main(prog_name="anyon", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except AnyonError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output (head, less) has gone; what it wanted, it has.
        sys.stderr.close()
        sys.exit(0)
    sys.exit(code if isinstance(code, int) else 0)
