"""Training of classifiers and import of fine-tuned ones, as bundles that `scorer` scores with; needs PyTorch."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from export.cli.calls import Made, import_checkpoint, train

__all__ = ["Made", "import_checkpoint", "train"]


def __getattr__(name: str) -> Any:
    if name in __all__:  # `import export` alone takes no time
        from export.cli import calls

        return getattr(calls, name)
    raise AttributeError(f"module 'export' has no attribute {name!r}")
