"""`python -m gwa_attrib.cli`."""

from gwa_attrib.cli import main

if __name__ == "__main__":
    main()
