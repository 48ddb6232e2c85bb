"""The tokenizer of a training, kept beside its run: what its token ids mean. JSON, of which nothing is executed."""

from typing import Any

from gwa_attrib.errors import MissingDependencyError, RunFormatError
from gwa_attrib.files.places import Place
from gwa_attrib.files.whole import write_text
from gwa_attrib.store.run import Run
from gwa_attrib.store.schema import TOKENIZER


def keep_tokenizer(root: Place, text: str) -> None:
    """Keep a tokenizer, as ``tokenizers.Tokenizer.to_str`` writes it.

    Raises:
        RunError: it cannot be written.
    """
    write_text(root / TOKENIZER, text, within=root)


def kept_tokenizer(run: Run) -> Any:
    """The ``tokenizers.Tokenizer`` of the run; None where none was kept.

    Raises:
        MissingDependencyError: one was kept, and the package tokenizers is not installed.
        RunFormatError: the file is damaged.
    """
    file = run.path / TOKENIZER
    if not file.is_file():
        return None
    try:
        from tokenizers import Tokenizer
    except ModuleNotFoundError as missing:
        raise MissingDependencyError(
            expected="the package tokenizers, to read token ids as text",
            found="it is not installed",
            todo="Run: pip install 'gwa-attrib[hf]'.",
        ) from missing
    try:
        return Tokenizer.from_str(file.read_text(encoding="utf-8"))
    except Exception as error:  # tokenizers raises bare Exceptions
        raise RunFormatError(
            expected=f"{file} as a training wrote it",
            found=f"{type(error).__name__}: {error}",
            todo="Delete the file, and pass tokenizer= to gwa.report.",
        ) from error
