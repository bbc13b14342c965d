"""CTranslate2 as a contender of bench/cpu.py, in float32 and int8.

CTranslate2 gives the output of its last block alone. If the head reads an inner block as well, CTranslate2 computes the
blocks up to that one, and PyTorch computes the others in float32.
"""

import copy
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import ctranslate2
import numpy as np
import torch
import transformers
from plain import SORTED_TOKENS, Contender, Rows, Score
from subject import Subject

from export.training.network import Network
from scorer.engine.batches import token_budget


def ctranslate2_contenders(
    subject: Subject, tokenizer: transformers.PreTrainedTokenizerFast, folder: Path
) -> Iterator[Contender]:
    """Yield CTranslate2 on sorted batches, one for each core at a time.

    Args:
        subject: model and texts.
        tokenizer: tokenizer of the subject.
        folder: folder for converted models.
    """
    rest = _rest(subject)
    left = subject.encoder.layers - rest.first
    way = "sorted" if left == 0 else f"sorted, PyTorch for the last {'block' if left == 1 else f'{left} blocks'}"
    source = folder / "source"
    subject.encoder.model.save_pretrained(source)
    config = copy.deepcopy(subject.encoder.config)
    config.num_hidden_layers = rest.first
    # The converter asks for it, but new versions of transformers no longer write it; it has become the only kind.
    config.position_embedding_type = "absolute"
    config.save_pretrained(source)
    tokenizer.save_pretrained(source)
    for precision, kind in (("fp32", "float32"), ("int8", "int8")):
        converted = folder / f"ctranslate2-{kind}"
        ctranslate2.converters.TransformersConverter(str(source)).convert(str(converted), quantization=kind)
        yield Contender("f", "CTranslate2", way, precision, _score(converted, kind, rest, subject.threads))


def _rest(subject: Subject) -> Network:
    """Return the classifier from the first layer that its head reads."""
    head = subject.classifier.head
    network = Network(subject.encoder, subject.classifier.pooling, 1, blocks=0, dropout=0.0, seed=0)
    network.head.load_state_dict({"weight": torch.from_numpy(head.weight), "bias": torch.from_numpy(head.bias)})
    return network.eval().requires_grad_(False)


def _score(converted: Path, kind: str, rest: Network, threads: int) -> Score:
    encoder = ctranslate2.Encoder(
        str(converted), device="cpu", compute_type=kind, inter_threads=threads, intra_threads=1
    )
    pool = ThreadPoolExecutor(threads)

    def run(rows: Rows) -> np.ndarray:
        found = np.array(encoder.forward_batch([row.tolist() for row in rows]).last_hidden_state)
        with torch.inference_mode():
            return rest([one[: len(row)] for one, row in zip(found, rows, strict=True)]).numpy()

    def score(rows: Rows) -> np.ndarray:
        logits = np.empty((len(rows), 1), dtype=np.float32)
        batches = token_budget([len(row) for row in rows], SORTED_TOKENS)
        torch.set_num_threads(1)  # each worker has a core for both parts
        try:
            for batch, found in zip(
                batches, pool.map(lambda batch: run([rows[row] for row in batch]), batches), strict=True
            ):
                logits[batch] = found
        finally:
            torch.set_num_threads(threads)
        return logits

    return score
