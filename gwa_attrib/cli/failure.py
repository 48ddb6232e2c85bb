"""The message of a command that fails: what is wrong in the first line, then what was expected, and what to do."""

import typer

from gwa_attrib.errors import GWAError, InputError, RunError

WRONG_USE, FAILED, INTERRUPTED = 2, 1, 130
"""Exit statuses."""
UsageError: type[Exception] = typer.BadParameter.__mro__[1]
ClickException: type[Exception] = typer.BadParameter.__mro__[2]
"""Errors of the click that typer uses: a package of its own, or a part of typer in newer versions."""
SHORT = 24
"""Characters up to which what was found is too little to be a first line."""
NO_VERB = "NoArgsIsHelpError"
"""The error of a call without a verb, whose message is the help."""


def status_of(error: BaseException) -> int:
    """The exit status that goes with an error."""
    return WRONG_USE if isinstance(error, InputError | RunError | UsageError) else FAILED


def described(error: BaseException) -> list[str]:
    """Lines about an error of this package, or of click's."""
    if isinstance(error, GWAError):
        return _of_package(error)
    context = getattr(error, "ctx", None)
    message = error.format_message().replace("Value error, ", "")  # type: ignore[attr-defined]
    if type(error).__name__ == NO_VERB:
        return ["which verb?", *message.splitlines()]
    lines = [message]
    if context is not None:
        usage = " ".join(context.get_usage().split()).removeprefix("Usage: ")
        lines += [f"Expected: {usage}", f"See: {context.command_path} --help"]
    return lines


def _of_package(error: GWAError) -> list[str]:
    """A few words (a number, a name, "no such folder") say nothing by themselves; a longer phrase does."""
    if len(error.found) > SHORT:
        return [error.found, f"Expected: {error.expected}.", error.todo]
    return [f"{error.found}, where {error.expected} was expected.", error.todo]
