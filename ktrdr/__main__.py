"""`python -m ktrdr` is the command line too. Imports it only."""

from ktrdr.cli import main

if __name__ == "__main__":
    main()
