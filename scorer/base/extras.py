"""Extras: libraries that only some commands need."""


def install_advice(extra: str) -> str:
    """Say how to install an extra; not by this program's name, which on the package index is not ours.

    >>> install_advice("export")
    'install the extra [export] of this program from where it was installed'
    """
    return f"install the extra [{extra}] of this program from where it was installed"
