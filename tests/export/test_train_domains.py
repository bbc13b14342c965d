"""Training texts of several domains: read from several files, held out, and weighed, domain by domain."""

import csv
from dataclasses import replace

import numpy as np
import pytest
from factories import make_bundle, reviews

from export.bundle.bundle import load_classifier
from export.classifier.objective import OneOf
from export.classifier.settings import HeadSettings, WideSettings
from export.classifier.stacking import stack
from export.classifier.wide import train_wide
from export.data import Dataset, Split
from export.data_files import load_files
from export.data_source import Columns, LabelNames
from export.training.holdout import divide, split_rows
from export.training.recall import recall
from export.training.settings import DomainSettings, FitSettings
from export.training.weighing import domain_weights, text_weights
from scorer.base.errors import UsageError

BY_DOMAIN = Columns(domain="domain")


def write(path, rows, head=("text", "label")):
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([head, *rows])
    return str(path)


@pytest.fixture
def files(tmp_path):
    mixed = [("fine room", 1, "hotels"), ("bad room", 0, "hotels"), ("bad phone", 0, "phones"), ("no domain", 1, "")]
    return (
        write(tmp_path / "films" / "train.csv", [("good film", 1), ("bad film", 0)]),
        write(tmp_path / "mixed.csv", mixed, ("text", "label", "domain")),
    )


def load(*files, columns=BY_DOMAIN, **more):
    return load_files(files, files[:1], columns=columns, label_names=LabelNames(), **more)


def test_files_are_read_in_order_and_one_without_the_column_is_a_domain_by_itself(files):
    found = load(*files)
    assert found.train.texts == ["good film", "bad film", "fine room", "bad room", "bad phone", "no domain"]
    assert found.train.domains == ("films", "films", "hotels", "hotels", "phones", "mixed")
    assert found.train.labels.tolist() == [1, 0, 1, 0, 0, 1]
    assert found.test.domains == ()  # all of one
    assert found.name == "train.csv, mixed.csv (tested on train.csv)"


def test_several_files_are_domains_without_a_column(files):
    assert load(*files, columns=Columns()).train.domains == ("films",) * 2 + ("mixed",) * 4


def test_ids_are_excluded_from_the_training_texts_alone(tmp_path, capsys):
    path = write(tmp_path / "a.csv", [("x", 1, "i/1"), ("y", 0, "i/2"), ("z", 0, "i/3")], ("text", "label", "id"))
    (tmp_path / "ids.txt").write_text("i/3\n\ni/9\n")
    found = load(path, exclude_ids=tmp_path / "ids.txt")
    assert (found.train.ids, found.test.ids) == (("i/1", "i/2"), ("i/1", "i/2", "i/3"))
    assert "--exclude-ids: 1 of 2 ids are not among the training texts, such as i/9." in capsys.readouterr().err


def test_each_domain_has_held_out_texts_in_runs_of_its_own():
    labels = np.arange(500) % 2
    domains = ["films"] * 400 + ["hotels"] * 100
    settings = FitSettings(validation_share=0.1)
    split = Split([""] * 500, labels, domains=tuple(domains))
    found = divide([np.array([1])] * 500, split, settings)
    assert np.isin(found.validation_rows, np.arange(400)).sum() == 40
    assert (np.sort(np.union1d(found.train_rows, found.validation_rows)) == np.arange(500)).all()
    hotels = found.validation_rows[found.validation_rows >= 400] - 400
    assert (hotels == split_rows(labels[400:], settings)[1]).all()
    alone = divide([np.array([1])] * 500, replace(split, domains=()), settings)
    assert (alone.weights, alone.domains) == (None, None)
    assert (alone.validation_rows == split_rows(labels, settings)[1]).all()


def test_weights_level_domains_and_their_labels():
    domains = np.repeat(["big", "small"], [900, 100])
    labels = np.concatenate([np.arange(900) % 2, np.arange(100) < 80]).astype(int)

    def shares(power):
        weights = text_weights(labels, domains, DomainSettings(power))
        assert weights.mean() == pytest.approx(1)
        small = domains == "small"
        return weights[small].sum() / weights.sum(), weights[small & (labels == 1)].sum() / weights[small].sum()

    assert shares(1.0) == (pytest.approx(0.1), pytest.approx(0.8))
    assert shares(0.0) == (pytest.approx(0.5), pytest.approx(0.5))
    assert shares(0.5) == (pytest.approx(1 / 4), pytest.approx(2 / 3))
    factors = domain_weights(domains, DomainSettings(0.5, {"small": 3.0}))
    assert factors[domains == "small"].sum() == pytest.approx(factors.sum() / 2)
    with pytest.raises(UsageError) as caught:
        domain_weights(domains, DomainSettings(0.5, {"smal": 2.0}))
    assert str(caught.value) == "--domain-weight names 'smal', which no training text is of: did you mean 'small'?"


def keyed(count, seed):
    random = np.random.default_rng(seed)
    labels = random.integers(2, size=count)
    rows = [np.array([label if random.random() < 0.8 else 1 - label, 2, 3 + random.integers(5)]) for label in labels]
    return rows, labels


def test_a_weight_of_two_is_a_text_that_occurs_twice():
    (rows, labels), held_out = keyed(300, 0), keyed(100, 1)
    weights = 1.0 + (np.arange(300) % 3 == 0)
    twice = [*rows, *(rows[text] for text in range(0, 300, 3))], np.concatenate([labels, labels[::3]])
    settings = WideSettings(64, (0.01,))

    def trained(texts, of_texts):
        training = train_wide(
            texts, held_out, pieces=8, objective=OneOf(2), settings=settings, weights=(of_texts, None)
        )
        return training.logits(held_out[0])

    scaled = weights / weights.mean()
    assert trained((rows, labels), scaled) == pytest.approx(trained(twice, None), abs=0.05)
    assert np.abs(trained((rows, labels), None) - trained(twice, None)).max() > 0.05
    logits = (np.random.default_rng(2).normal(size=300) + 2 * labels - 1).astype(np.float32)[:, np.newaxis]
    both = np.concatenate([logits, logits[::3]])
    assert stack(logits, None, labels, weights=scaled).temperature == pytest.approx(
        stack(both, None, twice[1]).temperature, abs=0.01
    )


@pytest.fixture
def mixed():
    """Films whose words show their label, and a few hotels whose words show the opposite."""
    films, hotels = reviews(400, 2, 1), reviews(80, 2, 3)
    texts = [*films.texts, *(f"hotel {text}" for text in hotels.texts)]
    labels = np.concatenate([films.labels, 1 - hotels.labels])
    domains = ("films",) * 400 + ("hotels",) * 80
    train = replace(films, texts=texts, labels=labels, domains=domains)
    return Dataset("mixed", ("negative", "positive"), train, reviews(120, 2, 2))


@pytest.mark.parametrize("solver", ["newton", "adam"])
def test_a_bundle_records_its_domains_and_their_weights_count(encoder, tmp_path, mixed, solver):
    heads = []
    for power in (1.0, 0.0):
        bundle = make_bundle(
            encoder("bert"), tmp_path / f"{power}", dataset=mixed, precisions=("fp32",),
            domains=DomainSettings(power), head=HeadSettings(solver, epochs=2),
        )  # fmt: skip
        assert bundle.manifest.training["domains"] == {"power": power, "factors": {}}
        heads.append(load_classifier(bundle).head.weight)
    assert (heads[0] != heads[1]).any()


def test_held_out_texts_of_domains_are_recalled(encoder, tmp_path, mixed):
    bundle = make_bundle(
        encoder("bert"), tmp_path / "b", dataset=mixed, wide=WideSettings(512), domains=DomainSettings(0.2, {"hotels": 2.0})
    )  # fmt: skip
    wide = load_classifier(bundle).wide
    held_out = recall(bundle, wide, mixed)
    assert len(held_out.labels) == bundle.manifest.metrics["validation_texts"]
    other = replace(mixed, train=replace(mixed.train, domains=("films",) * 300 + ("hotels",) * 180))
    with pytest.raises(Exception, match="these are not the texts"):
        recall(bundle, wide, other)
