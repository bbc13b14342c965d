"""The commands: parse, check, delegate."""
