"""The command ``score`` as ``python -m scorer``."""

from scorer.cli.score import main

if __name__ == "__main__":
    main()
