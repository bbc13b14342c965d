"""Texts of the length distribution of IMDb's reviews, out of a vocabulary: for machines that may not have the reviews."""

import numpy as np

# Word pieces of the 25,000 test reviews (BERT's vocabulary, special tokens included), every twentieth.
_LENGTHS = [10, 80, 113, 137, 150, 159, 168, 179, 190, 204, 219, 237, 257, 281, 312, 352, 400, 469, 565, 743, 2875]


def synthetic_texts(vocabulary: dict[str, int], count: int, seed: int) -> list[str]:
    """Texts that are all different, of whole words.

    A word is the rarer, the later it stands in the vocabulary (Zipf's law), and the longer it is: with the factor below
    a text has as many characters as a review with as many pieces.

    Args:
        vocabulary: of a WordPiece tokenizer, ordered by frequency as BERT's is.
        count: how many texts.
        seed: of the random choice.
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
