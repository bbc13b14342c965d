"""Texts made from a vocabulary, as long as IMDb's reviews: for machines that may not have the reviews."""

import numpy as np

# Word pieces per review of the 25,000 test reviews (BERT's vocabulary, special tokens included), in 20 quantiles.
_LENGTHS = [10, 80, 113, 137, 150, 159, 168, 179, 190, 204, 219, 237, 257, 281, 312, 352, 400, 469, 565, 743, 2875]


def synthetic_texts(vocabulary: dict[str, int], count: int, seed: int) -> list[str]:
    """Make texts of whole words, all of them different.

    Words are rarer if they come later in the vocabulary (Zipf's law), or if they are longer. With the factor below, a
    text has as many characters as a review with as many pieces.

    Args:
        vocabulary: vocabulary of a WordPiece tokenizer, ordered by frequency like BERT's.
        count: number of texts.
        seed: seed of the random choice.
    """
    random = np.random.default_rng(seed)
    words = sorted((word for word in vocabulary if word.isascii() and word.isalpha()), key=vocabulary.__getitem__)
    words = [*[word for word in words if len(word) > 1][:20_000], ".", ","]
    # Every tenth piece of running text is a full stop or a comma.
    shares = 0.55 ** np.array([len(word) for word in words[:-2]]) / np.arange(10, 8 + len(words))
    shares = np.append(shares / shares.sum() * 0.9, [0.05, 0.05])
    lengths = np.interp(random.random(count), np.linspace(0, 1, len(_LENGTHS)), _LENGTHS).astype(int) - 2
    chosen = np.array(words, dtype=object)[random.choice(len(words), p=shares, size=int(lengths.sum()))]
    return [" ".join(part) for part in np.split(chosen, np.cumsum(lengths)[:-1])]
