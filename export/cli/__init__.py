"""The command `score-model`, one file a subcommand."""
