"""Help with the options in named groups, because thirty in one list teach nobody."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Function = TypeVar("Function", bound=Callable[..., Any])


class Option(click.Option):
    """An option that knows which group of the help it belongs to."""

    def __init__(self, *args: Any, panel: str = "Options", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.panel = panel


class Command(click.Command):
    """A command whose help groups its options; --output_format is understood as --output-format."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["context_settings"] = {
            "token_normalize_func": lambda token: token.replace("_", "-"),
            "max_content_width": 110,
            **kwargs.get("context_settings", {}),
        }
        super().__init__(*args, **kwargs)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        options = [parameter for parameter in self.get_params(ctx) if isinstance(parameter, click.Option)]
        panels: dict[str, list[tuple[str, str]]] = {}
        for parameter in sorted(options, key=lambda parameter: not isinstance(parameter, Option)):
            record = parameter.get_help_record(ctx)
            if record is not None:
                panels.setdefault(getattr(parameter, "panel", "Help"), []).append(record)
        for panel, records in panels.items():
            with formatter.section(panel):
                formatter.write_dl(records)


def option(*names: str, panel: str, **kwargs: Any) -> Callable[[Function], Function]:
    """click.option in a group of the help."""
    return click.option(*names, cls=Option, panel=panel, **kwargs)
