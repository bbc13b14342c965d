"""What people are told, on stderr; stdout carries data only."""

import contextlib

import click


def say(message: str) -> None:
    """Print a line on stderr. Where nobody listens (closed, disk full), the work itself must not fail for it."""
    with contextlib.suppress(OSError):
        click.echo(message, err=True)
