"""Entry point of ``python -m export``, which is the command ``score-model``."""

from export.cli.score_model import main

if __name__ == "__main__":
    main()
