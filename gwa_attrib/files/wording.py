"""Text that anything may be in, made fit to be printed or stored; without numpy, so that an error costs nothing."""


def storable(text: str) -> str:
    """The text, with what no file in UTF-8 can hold (lone surrogates: undecodable bytes of a file name) escaped."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def printable(text: str) -> str:
    """One line that is safe to print: control characters, among them line ends and terminal codes, escaped."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
