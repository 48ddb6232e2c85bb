"""The help, plainly: typer's own, drawn by rich, takes as long as all the rest."""

from typing import Any

from typer.core import TyperGroup

WHOLE = 1000
"""Characters of a sentence about a verb, none of which is longer."""


class Verbs(TyperGroup):
    """The verbs, in the parts of the help that each names as its `rich_help_panel`."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """Write a section for each part, the verbs in their order."""
        panels: dict[str, list[tuple[str, str]]] = {}
        commands: dict[str, Any] = {**self.commands}
        for name, command in commands.items():
            panels.setdefault(command.rich_help_panel, []).append((name, command.get_short_help_str(WHOLE)))
        for panel, rows in panels.items():
            with formatter.section(panel):
                formatter.write_dl(rows)

    def get_help_option(self, ctx: Any) -> Any:
        """The option --help; without a default typer would import pydantic to make a bool of nothing."""
        option = super().get_help_option(ctx)
        if option is not None and option.default is None:
            option.default = False
        return option
