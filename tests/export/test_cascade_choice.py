"""The choice of a cascade on held-out texts with known answers, and the accuracy it costs."""

import warnings
from dataclasses import replace

import numpy as np
import pytest

from export.classifier.settings import CascadeSettings
from export.evaluation.cascade import SHARES, StagedTexts, accuracy_loss
from export.evaluation.figures import cascade_curve
from export.training.cascade import CascadeChoice, HeldOut, calibrated, choose_cascade, report_choice, with_margin
from scorer.engine.cascade import Cascade
from scorer.model.decision import probabilities

TEXTS = 2_000
STEP = TEXTS // 100
PATIENT = CascadeSettings(ece=1.0)
"""Settings that allow any calibration error."""


def held_out(wrong=(), wrong_whole=(), labels=2, texts=TEXTS):
    """Make held-out texts, sorted from the one that the wide part is surest of.

    Args:
        wrong: numbers of the texts that the wide part labels wrongly.
        wrong_whole: numbers of the texts that both parts together label wrongly.
    """
    truth = np.arange(texts) % labels
    sureness = np.linspace(12, 2, texts)

    def logits(size, wrong):
        said = truth.copy()
        said[list(wrong)] = (said[list(wrong)] + 1) % labels
        if labels == 2:
            return np.where(said == 1, size, -size)[:, np.newaxis]
        return size[:, np.newaxis] * (np.arange(labels) == said[:, np.newaxis])

    whole = logits(np.full(texts, 9.0), wrong_whole).astype(np.float32)
    return HeldOut(whole, logits(sureness, wrong), truth, np.full(texts, 10), 1.0)


def some(step, count):
    """Return the numbers of adjacent texts in the middle of a step; they alternate in label, so no bias results."""
    return range(step * STEP + 6, step * STEP + 6 + count)


@pytest.mark.parametrize("labels", [2, 3])
def test_the_walk_ends_before_the_first_step_that_costs_too_much(labels):
    allowed = replace(PATIENT, loss=100 * labels / TEXTS)
    texts = held_out([*some(30, labels), *some(60, labels)], labels=labels)
    found = choose_cascade(texts, allowed)
    assert found.chosen.rows == pytest.approx(0.60)
    assert found.loss.points == pytest.approx(100 * labels / TEXTS)
    assert found.chosen.accuracy == pytest.approx(1 - labels / TEXTS)
    assert (found.texts, found.without.accuracy, found.without.rows) == (TEXTS, 1.0, 0.0)
    assert found.chosen.tokens == found.chosen.rows
    assert choose_cascade(texts, replace(PATIENT, loss=allowed.loss - 0.01)).chosen.rows == pytest.approx(0.30)
    assert choose_cascade(texts, replace(PATIENT, loss=2 * allowed.loss)).chosen.rows == pytest.approx(0.99)


def test_a_later_step_that_is_good_again_by_luck_is_not_taken():
    texts = held_out(some(40, 4), wrong_whole=some(45, 6))  # only the encoder is wrong about the latter
    found = choose_cascade(texts, PATIENT)
    assert found.chosen.rows == pytest.approx(0.40)
    later = with_margin(found.cascade, float(np.sort(found.cascade.margins(texts.sums))[-46 * STEP]))
    assert texts.staged(later).loss().points < 0


def test_no_more_texts_are_decided_than_is_allowed_though_none_would_be_lost():
    found = choose_cascade(held_out(), replace(PATIENT, most=0.375))
    assert found.chosen.rows == pytest.approx(0.37)
    assert choose_cascade(held_out(), PATIENT).chosen.rows == pytest.approx(0.99)


def of_domains(texts, hotels):
    """Name the domains of texts: some of them are of hotels, all others of films."""
    domains = np.full(len(texts.labels), "films", dtype="U10")
    domains[list(hotels)] = "hotels"
    return replace(texts, domains=domains)


def pairs(first, last, count):
    """Return the numbers of texts in pairs, of which one has each label, spread evenly from a number to another one."""
    starts = np.linspace(first, last - 2, count // 2).astype(int) // 2 * 2
    return [one for start in starts for one in (int(start), int(start) + 1)]


LENIENT = replace(PATIENT, loss=5.0)
HOTELS = pairs(0, TEXTS, 200)
MIDDLE = [one for one in HOTELS if TEXTS * 0.5 <= one < TEXTS * 0.6]
"""Hotels among the texts of rank 50% to 60%."""


def test_a_domain_that_loses_ends_the_walk_though_all_texts_together_lose_little():
    texts = of_domains(held_out(MIDDLE), HOTELS)
    assert choose_cascade(replace(texts, domains=None), LENIENT).chosen.rows == pytest.approx(0.99)
    found = choose_cascade(texts, LENIENT)
    assert 0.50 <= found.chosen.rows < 0.52
    assert found.ended_by == (
        "costs texts of hotels 2.00 points of accuracy, more than --cascade-domain-loss 0.5 allows"
    )
    films, hotels = found.domains
    assert (films.name, films.texts, hotels.name, hotels.texts) == ("films", 1_800, "hotels", 200)
    assert films.loss.points == 0
    assert hotels.loss.points <= 1.0
    assert hotels.chosen.rows == pytest.approx(0.51, abs=0.02)
    assert choose_cascade(texts, replace(LENIENT, domain_loss=20.0)).chosen.rows == pytest.approx(0.99)


@pytest.mark.parametrize(("lost", "ended"), [(2, False), (4, True)])
def test_a_loss_within_a_standard_deviation_of_the_bound_may_be_chance(lost, ended):
    """In 200 texts, 2 lost are 1.0 points with a standard deviation of 0.9; 4 lost are 2.0 points with one of 1.1."""
    found = choose_cascade(of_domains(held_out(MIDDLE[:lost]), HOTELS), LENIENT)
    assert (found.chosen.rows < 0.6) == ended
    assert (found.ended_by is not None) == ended


def test_a_few_early_texts_of_a_domain_are_judged_by_its_30_surest():
    """The hotels are the least sure texts, and the first 6 of them would be right."""
    hotels = pairs(1_000, TEXTS, 100)
    texts = of_domains(held_out(hotels[6:30]), hotels)
    found = choose_cascade(texts, LENIENT)
    assert found.chosen.rows == pytest.approx(0.50)
    assert found.domains[1].chosen.rows == 0
    assert found.ended_by == (
        "costs texts of hotels 24.00 points of accuracy, more than --cascade-domain-loss 0.5 allows"
    )
    later = choose_cascade(texts, replace(LENIENT, least_of_domain=6))
    assert 0.52 <= later.chosen.rows <= 0.56


def test_no_text_of_a_domain_with_too_few_held_out_texts_is_decided_early():
    hotels = pairs(1_400, TEXTS, 28)
    found = choose_cascade(of_domains(held_out(), hotels), LENIENT)
    assert found.chosen.rows == pytest.approx(0.70)
    assert found.domains[1].chosen.rows == 0
    assert found.ended_by == "decides texts of hotels, of which 28 are held out, but 30 are needed"
    few = choose_cascade(of_domains(held_out(), range(6, 34)), LENIENT)
    assert few == (
        "no limit is narrow enough: even the narrowest one decides texts of hotels, of which 28 are held out, but 30 are needed"
    )


def test_domains_that_lose_nothing_change_nothing():
    texts = held_out([*some(30, 2), *some(60, 2)])
    settings = replace(PATIENT, loss=0.1)
    plain, found = choose_cascade(texts, settings), choose_cascade(of_domains(texts, HOTELS), settings)
    assert (found.cascade, found.chosen, found.loss) == (plain.cascade, plain.chosen, plain.loss)
    assert plain.domains == ()
    assert sum(domain.texts for domain in found.domains) == TEXTS
    assert plain.ended_by == found.ended_by == "costs more than 0.1 points of accuracy"


def test_a_domains_texts_count_in_the_calibration_by_their_weights():
    count = 20_000
    texts = held_out(wrong=[*range(16_000, 16_060), *range(18_000, 18_400)], texts=count)
    times = np.where(np.arange(count) < count // 2, 1, 3)
    often = np.repeat(np.arange(count), times)
    repeated = replace(texts, **{name: getattr(texts, name)[often] for name in ("logits", "sums", "labels", "tokens")})
    found, expected = calibrated(replace(texts, weights=times / times.mean())), calibrated(repeated)
    assert found.scale == pytest.approx(expected.scale, rel=1e-3)  # a prior weighs as one text
    assert found.scale != pytest.approx(calibrated(texts).scale, rel=0.01)


def test_the_log_has_a_line_for_each_domain():
    lines = []
    report_choice(choose_cascade(of_domains(held_out(MIDDLE), HOTELS), LENIENT), lines.append)
    assert lines[1].startswith("cascade: a wider limit costs texts of hotels 2.00 points of accuracy")
    assert lines[2] == "cascade: films: 51% of 1,800 held-out texts decided early, 0.00 points lost"
    assert lines[3].startswith("cascade: hotels: 51% of 200 held-out texts decided early, ")


def test_settings_of_domains_are_recorded_only_where_there_are_several():
    assert CascadeSettings().as_used(of_domains=False) == {
        "loss": 0.05,
        "ece": 0.005,
        "most": 1.0,
        "least_texts": 2_000,
    }
    assert CascadeSettings(domain_loss=1.0).as_used(of_domains=True)["domain_loss"] == 1.0


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("labels", [2, 3])
def test_the_choice_is_that_of_a_search_by_hand(seed, labels):
    random = np.random.default_rng(seed)
    width = 1 if labels == 2 else labels
    truth = random.integers(labels, size=3_000)
    signal = (2 * truth - 1)[:, np.newaxis] if labels == 2 else np.eye(labels)[truth] * 2
    sums = 2 * signal + random.normal(size=(3_000, width)) * 1.5
    whole = (3 * signal + random.normal(size=(3_000, width))).astype(np.float32)
    texts = HeldOut(whole, sums, truth, random.integers(5, 400, size=3_000), 1.3)
    settings = CascadeSettings(loss=0.3, ece=0.01)
    own = calibrated(texts)
    logits = own.logits(sums)
    wide, both = (probabilities(x, 1.3) for x in (logits, whole))
    ordered = np.sort(np.hstack([logits, np.zeros((3_000, 1))]) if labels == 2 else logits, axis=1)
    order = np.argsort(ordered[:, -2] - ordered[:, -1])

    def accuracy_and_ece(early):
        found = np.where(early[:, np.newaxis], wide, both)
        right, confidence = found.argmax(axis=1) == truth, found.max(axis=1)
        bins = np.minimum((confidence * 15).astype(int), 14)
        ece = sum(abs(confidence[bins == one].sum() - right[bins == one].sum()) for one in range(15)) / 3_000
        return right.mean(), ece

    without = accuracy_and_ece(np.zeros(3_000, dtype=bool))
    share = 0
    for percent in range(1, 100):
        early = np.zeros(3_000, dtype=bool)
        early[order[: 30 * percent]] = True
        accuracy, ece = accuracy_and_ece(early)
        if 100 * (without[0] - accuracy) > 0.3 + 1e-9 or ece > without[1] + 0.01:
            break
        share = percent
    found = choose_cascade(texts, settings)
    assert 5 < share < 95
    assert found.chosen.rows == pytest.approx(share / 100)


def test_limits_end_where_the_calibration_error_grows():
    """The wide part is overconfident about the less sure half of the texts, which a single scale cannot correct."""
    random = np.random.default_rng(0)
    wrong = [text for text in range(TEXTS // 2, TEXTS) if random.random() < 0.3]
    texts = held_out(wrong, wrong_whole=wrong)  # no accuracy is lost, because both are wrong about the same texts
    texts = replace(
        texts, logits=np.where(np.arange(TEXTS)[:, np.newaxis] < TEXTS // 2, texts.logits, texts.logits * 0.09)
    )
    strict = choose_cascade(texts, CascadeSettings())
    assert choose_cascade(texts, PATIENT).chosen.rows == pytest.approx(0.99)
    assert strict.loss.points == 0
    assert strict.chosen.rows < 0.9
    assert strict.chosen.ece <= strict.without.ece + 0.005
    margins = np.sort(strict.cascade.margins(texts.sums))[::-1]
    beyond = with_margin(strict.cascade, float(margins[round(strict.chosen.rows * TEXTS) + STEP]))
    assert texts.staged(beyond).chosen.ece > strict.without.ece + 0.005


def test_too_few_texts_give_no_cascade():
    found = choose_cascade(held_out(texts=1_999), PATIENT)
    assert found == "1,999 held-out texts are too few: 2,000 are needed"
    assert isinstance(choose_cascade(held_out(), PATIENT), CascadeChoice)


@pytest.mark.parametrize("labels", [2, 3])
def test_a_wide_part_that_says_nothing_gives_no_cascade(labels):
    texts = held_out(labels=labels)
    silent = replace(texts, sums=np.zeros_like(texts.sums))
    assert choose_cascade(silent, PATIENT) == "the wide part alone does not distinguish the labels"
    contrary = replace(texts, sums=-texts.sums)
    assert choose_cascade(contrary, PATIENT) == "the wide part alone does not distinguish the labels"
    noise = replace(texts, sums=np.random.default_rng(0).normal(size=texts.sums.shape))
    assert isinstance(choose_cascade(noise, PATIENT), str)


def test_a_wide_part_whose_surest_texts_are_wrong_gives_no_cascade():
    found = choose_cascade(held_out(wrong=range(3, 8)), PATIENT)
    assert found == "no limit is narrow enough: even the narrowest one costs more than 0.05 points of accuracy"


def test_a_first_limit_that_adds_too_much_calibration_error_is_named_as_the_reason():
    """The wide part is underconfident about its surest texts, because it is often wrong about the others."""
    random = np.random.default_rng(0)
    texts = held_out(wrong=[text for text in range(5 * STEP, TEXTS) if random.random() < 0.4])
    found = choose_cascade(texts, CascadeSettings(loss=100.0, ece=0.001))
    assert found == "no limit is narrow enough: even the narrowest one adds more than 0.1% of calibration error"


def test_a_first_limit_that_decides_more_than_cascade_most_is_named_as_the_reason():
    found = choose_cascade(held_out(), replace(PATIENT, most=0.004))
    assert found == "no limit is narrow enough: even the narrowest one decides 1.0% of the held-out texts, more than --cascade-most 0.004 allows"  # fmt: skip


@pytest.fixture
def without_bias(monkeypatch):
    """Calibration that keeps the sums as they are, because a bias would break ties between labels."""
    monkeypatch.setattr("export.training.cascade.calibrated", lambda texts: Cascade(1.0, (0.0,), (-np.inf, np.inf)))


@pytest.mark.parametrize("sureness", [1.0, 0.0])
def test_texts_that_are_equally_sure_give_no_limit_to_try(without_bias, sureness):
    texts = held_out()
    tied = replace(texts, sums=np.sign(texts.sums) * sureness)
    found = choose_cascade(tied, replace(PATIENT, loss=100.0))
    assert found == "no limit can be tried: the wide part alone is about equally sure of all texts"


def test_a_step_that_decides_nothing_is_no_cascade(without_bias):
    """The surest 5% of the texts are equally sure, so the first limit that decides any of them decides all."""
    texts = held_out(wrong=some(3, 4))
    surest = np.arange(TEXTS)[:, np.newaxis] < 5 * STEP + 1
    tied = replace(texts, sums=np.where(surest, np.sign(texts.sums) * 12, texts.sums))
    found = choose_cascade(tied, PATIENT)
    assert found == "no limit is narrow enough: even the narrowest one costs more than 0.05 points of accuracy"
    found = choose_cascade(tied, replace(PATIENT, loss=1.0, most=0.04))
    assert found == (
        "no limit is narrow enough: even the narrowest one decides 6.0% of the held-out texts, more than --cascade-most 0.04 allows"
    )


def test_the_log_says_what_was_chosen_or_why_nothing_was():
    lines = []
    assert report_choice("1 held-out texts are too few: 2,000 are needed", lines.append) is None
    assert lines == ["no cascade: 1 held-out texts are too few: 2,000 are needed; every text goes through the encoder"]
    found = choose_cascade(held_out([*some(30, 2), *some(60, 2)]), replace(PATIENT, loss=0.1))
    assert report_choice(found, lines.append) is found
    assert lines[1].startswith(
        "cascade: the wide part alone decides 60% of 2,000 held-out texts, which saves 60% of the encoder's tokens and costs "
        "0.10 points of accuracy (95%: "
    )


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_scale_and_bias_are_found_that_make_the_sums_probabilities(temperature):
    random = np.random.default_rng(1)
    sums = random.normal(size=(40_000, 1)) * 3
    truth = (random.random(40_000) < 1 / (1 + np.exp(-(0.7 * sums[:, 0] - 0.4)))).astype(np.int64)
    found = calibrated(HeldOut(np.zeros((40_000, 1), np.float32), sums, truth, np.ones(40_000), temperature))
    assert found.scale / temperature == pytest.approx(0.7, rel=0.05)
    assert found.bias[0] / temperature == pytest.approx(-0.4, abs=0.05)
    assert not found.decides(sums).any()


def test_scale_and_biases_of_three_labels_are_found():
    random = np.random.default_rng(2)
    sums, bias = random.normal(size=(40_000, 3)) * 2, np.array([0.5, -0.5, 0.0])
    chances = probabilities(0.6 * sums + bias)
    truth = (random.random((40_000, 1)) > chances.cumsum(axis=1)).sum(axis=1)
    found = calibrated(HeldOut(np.zeros((40_000, 3), np.float32), sums, truth, np.ones(40_000), 1.5))
    assert found.scale / 1.5 == pytest.approx(0.6, rel=0.05)
    np.testing.assert_allclose((np.array(found.bias) - np.mean(found.bias)) / 1.5, bias, atol=0.05)
    assert not found.decides(sums).any()


@pytest.mark.parametrize("cascade", [Cascade(0.7, (-0.4,), (-9.0, 9.0)), Cascade(0.7, (0.1, -0.2, 0.3), (9.0,))])
def test_limits_of_a_margin_decide_the_texts_beyond_it(cascade):
    sums = np.random.default_rng(3).normal(size=(500, len(cascade.bias))) * 4
    for margin in (0.0, 0.3, 2.0):
        found = with_margin(cascade, margin)
        assert (found.decides(sums) == (cascade.margins(sums) > margin)).all()
        assert (found.scale, found.bias) == (cascade.scale, cascade.bias)


def test_the_interval_is_that_of_a_worked_example():
    """Two surveys of the same 1,600 people (Agresti, Categorical Data Analysis, 10.1): 150 and 86 changed their answer."""
    before = np.repeat([True, True, False, False], (794, 150, 86, 570))
    after = np.repeat([True, False, True, False], (794, 150, 86, 570))
    found = accuracy_loss(before, after)
    assert found.points == pytest.approx(100 * (150 - 86) / 1600)
    assert found.interval == (pytest.approx(2.122, abs=1e-3), pytest.approx(5.868, abs=1e-3))  # 0.5 added to each count
    same = accuracy_loss(before, before)
    assert same.points == 0
    assert same.interval[0] == -same.interval[1] < 0


@pytest.fixture
def stages():
    """Texts that include some of which the wide part is so sure that the other label's probability is 0."""
    random = np.random.default_rng(4)
    positive = np.concatenate([np.zeros(20), np.ones(20), random.random(160)])
    truth = (random.random(200) < positive).astype(np.int64)
    wide = np.stack([1 - positive, positive], axis=1)
    whole = np.where(truth[:, np.newaxis] == [0, 1], 0.9, 0.1)
    return StagedTexts(truth, whole, wide, np.abs(positive - 0.5) > 0.4, random.integers(1, 300, size=200))


def test_a_curve_goes_from_every_text_through_the_encoder_to_none(stages):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        points = stages.curve()
        cascade_curve(stages, "Test split")
    assert [point.rows for point in points] == pytest.approx(SHARES)
    tokens = [point.tokens for point in points]
    assert tokens == sorted(tokens)
    assert (tokens[0], tokens[-1], points[0].rate, points[-1].rate) == (0, 1, 1, float("inf"))
    assert points[0].accuracy == (stages.whole.argmax(axis=1) == stages.labels).mean() == 1.0
    assert points[-1].accuracy == ((stages.wide[:, 1] >= 0.5) == stages.labels).mean()
    surest = np.abs(stages.wide[:, 1] - 0.5) > np.sort(np.abs(stages.wide[:, 1] - 0.5))[99]
    assert stages.curve([0.5]) == [stages.point(surest)]


def test_figures_of_some_texts_are_theirs_alone(stages):
    some = stages.some(np.flatnonzero(stages.early))
    assert (some.chosen.rows, some.chosen.tokens, stages.chosen.rows) == (1.0, 1.0, stages.early.mean())
    rest = stages.some(np.flatnonzero(~stages.early))
    assert rest.chosen == rest.without
    assert rest.loss().points == 0
    assert stages.chosen.tokens == stages.tokens[stages.early].sum() / stages.tokens.sum()
