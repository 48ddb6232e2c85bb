"""The entry of the command line and of `python -m gwa_attrib`: Ctrl-C is quiet from its first line on."""

import signal


def main() -> None:
    """Import the command line and run it."""
    # Until the verbs are there nothing can be lost and nothing said: the system's own way to end is the quiet one.
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    from gwa_attrib.cli import main as run

    signal.signal(signal.SIGINT, before)
    run()


if __name__ == "__main__":
    main()
