"""The entry of the command line and of `python -m gwa_attrib`: Ctrl-C is quiet from its first line on."""

import signal
import sys


def main() -> None:
    """Import the command line and run it."""
    # Until the verbs are there nothing can be lost and nothing said: the system's own way to end is the quiet one.
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    from gwa_attrib.cli import main as run
    from gwa_attrib.cli.failure import INTERRUPTED

    try:
        signal.signal(signal.SIGINT, before)
        run()
    except KeyboardInterrupt:  # between the lines that watch for it
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
