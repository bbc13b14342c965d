"""The windows of a bundle, if its encoder reads long texts in windows."""

from scorer.base.errors import BundleError
from scorer.engine.windows import Windows
from scorer.model.manifest import Manifest
from scorer.model.tokenizer import Tokenizer


def windows_of(manifest: Manifest, tokenizer: Tokenizer) -> Windows | None:
    """Return the rule by which long texts are cut into windows; None if the graph gets whole texts.

    Args:
        manifest: manifest of the bundle.
        tokenizer: tokenizer of the bundle.

    Raises:
        BundleError: the settings do not fit the tokenizer, so some tokens that it keeps would be in no window.
    """
    settings = manifest.windows
    if settings is None:
        return None
    try:
        windows = windows_around(tokenizer, manifest.max_length, settings.stride, settings.combination)
    except ValueError as error:
        raise BundleError(f"the windows of manifest.json do not fit the tokenizer: {error}") from error
    if windows.reach(settings.most) != manifest.tokens_kept:
        raise BundleError(
            f"{settings.most} windows of manifest.json cover {windows.reach(settings.most)} tokens, but max_tokens is "
            f"{manifest.tokens_kept}"
        )
    return windows


def windows_around(tokenizer: Tokenizer, length: int, stride: int, combination: str) -> Windows:
    """Return windows with the special tokens of a tokenizer.

    Args:
        tokenizer: tokenizer of the texts.
        length, stride, combination: as for `scorer.engine.windows.Windows`.

    Raises:
        ValueError: length and stride do not fit the number of special tokens.
    """
    before, after = tokenizer.special_places
    return Windows(length, before, after, stride, "max" if combination == "max" else "mean")


def tokens_read(manifest: Manifest, windows: Windows | None, tokens: int) -> int:
    """Return the number of tokens that the encoder reads of a text, in all windows, special tokens included.

    Args:
        manifest: manifest of the bundle.
        windows: its windows, as `windows_of` returns them.
        tokens: number of tokens kept of the text, special tokens included.
    """
    return min(tokens, manifest.max_length) if windows is None else windows.tokens(tokens)
