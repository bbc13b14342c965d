"""`score --report`: one self-contained page, in which the texts of rows remain text."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from factories import as_several_values, reviews, with_fields

from scorer.report.throughput import Throughput

HOSTILE = [
    '</script><script>window.harmed = 1</script> good',
    '<img src="https://example.com/x.png" onerror="window.harmed = 1"> bad',
    "<!--<script> good </td></table><style>*{display:none}</style>",
    "{{ 7 * 7 }} {% raw %} good",
    '" onmouseover="window.harmed = 1 bad',
    "\u202egood\u2066 \x07 bad &lt;b&gt;",
]  # fmt: skip


class Page(HTMLParser):
    """Page as a browser parses it: elements with their attributes, text, and contents of scripts."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.elements, self.texts, self.scripts, self.inside = [], [], [], ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self.inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        self.inside = ""

    def handle_data(self, data):
        if self.inside == "script":
            self.scripts[-1] += data
        elif self.inside != "style":
            self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())

    @property
    def charts(self):
        return json.loads(self.scripts[0])


@pytest.fixture
def report(score, tmp_path):
    """Run `score` and parse its page."""

    def run(records, *arguments, of=score):
        lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
        (tmp_path / "in.jsonl").write_text("".join(f"{line}\n" for line in lines))
        result = of(tmp_path / "in.jsonl", "-o", tmp_path / "out.csv", "--report", tmp_path / "run.html", *arguments)
        return result, Page((tmp_path / "run.html").read_text())

    return run


def records(texts):
    return [{"text": text} for text in texts]


def bars(page, caption):
    """Return share and rows by the name of each bar below a caption."""
    cells = page.text.split(caption)[1].split("Distribution")[0].split("The first of each")[0]
    return {name: f"{share}% {rows}" for name, share, rows in re.findall(r"(\S+) ([\d.]+)% (\d+)(?!\S)", cells)}


def test_the_page_says_what_the_record_says(report, tmp_path):
    texts = [*reviews(60, 2, 3).texts, "", "so " * 100]
    result, page = report([*records(texts), "broken"], "--summary", tmp_path / "run.json")
    record = json.loads((tmp_path / "run.json").read_text())
    assert result.code == 3
    assert "Ready, but for some rows 2 of 63 rows were rejected; the others can be used." in page.text
    for words in ("rows read 63", "scored 61", "rejected, 3.2% 2", "1 text longer than the model reads"):
        assert words in page.text
    assert page.charts["score"]["counts"] == record["score_histogram"]["counts"]
    assert page.charts["tokens"]["counts"] == record["token_histogram"]["counts"]
    assert "unknown" not in page.charts  # one full bar would show nothing
    assert "All texts have only word pieces that the model knows." in page.text
    assert sum(page.charts["score"]["expected"]) == pytest.approx(61)
    assert bars(page, "Share of the scored rows") == {
        label: f"{100 * rows / 61:.1f}% {rows}" for label, rows in record["labels"].items()
    }
    assert bars(page, "Share of the 2 rejected rows") == {"empty_text": "50.0% 1", "invalid_json": "50.0% 1"}
    assert page.charts["score"]["rules"] == [0.5]
    for measure in ("score", "tokens", "unknown"):
        assert f"{record['drift'][measure]['psi']:.3f}" in page.text
    for place in (record["output"], record["rejects"], *record["inputs"]):
        assert place["sha256"] in page.text
    assert f"cpu features {' '.join(record['host']['cpu_features'])}".rstrip() in page.text
    figures = {attributes["data-chart"] for tag, attributes in page.elements if tag == "figure"}
    assert figures == page.charts.keys() == {"score", "tokens"}


def test_the_page_asks_for_nothing_outside_and_runs_no_script_but_its_own(report):
    _, page = report(records(HOSTILE * 3))
    for tag, attributes in page.elements:
        assert not attributes.keys() & {"src", "srcset", "action", "data", "poster", "background"}, tag
        assert attributes.get("href", "data:,") == "data:,"
        assert not [name for name in attributes if name.startswith("on")]
        assert tag not in ("iframe", "object", "embed", "base", "form", "img", "a")
    policy = next(element[1]["content"] for element in page.elements if element[1].get("http-equiv"))
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-")
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in page.scripts[1:]]
    assert policy.split("script-src ")[1].split() == [f"'sha256-{one}'" for one in hashes]
    assert [element for element in page.elements if element[0] == "script"] == [
        ("script", {"type": "application/json", "id": "charts"}), ("script", {}), ("script", {}), ("script", {}),
    ]  # fmt: skip


def test_the_text_of_a_row_stays_text(report, tmp_path):
    _, page = report(records(HOSTILE))
    assert not any("harmed" in script for script in page.scripts)
    for text in HOSTILE[:5]:
        assert " ".join(text.split()) in page.text
    assert r"\x07 bad &lt;b&gt;" in page.text
    isolated = [attributes for tag, attributes in page.elements if attributes.get("class") == "text"]
    assert len(isolated) >= 6
    assert all(attributes["dir"] == "auto" for attributes in isolated)  # so that it cannot reverse the text around it


def test_names_of_files_and_columns_stay_text_too(score, tmp_path):
    folder = tmp_path / "<b>&amp;"
    folder.mkdir()
    source = folder / "<script>alert(1)<\\script>\udcff.jsonl"
    source.write_text('{"text": "good", "<i>": 1}\n')
    assert score(source, "-o", folder / "<u>.csv", "--keep", "<i>", "--report", tmp_path / "run.html").code == 0
    page = Page((tmp_path / "run.html").read_text())
    assert r"<script>alert(1)<\script>\xff.jsonl" in page.text
    assert "<u>.csv" in page.text
    assert not [tag for tag, _ in page.elements if tag in ("i", "u")]


def test_the_page_says_how_much_was_decided_early_where_there_is_a_cascade(report, staged_bundle, tmp_path):
    texts = records(reviews(60, 2, 8).texts)
    options = ("--model", staged_bundle.path)
    _, page = report(texts, *options, "--summary", tmp_path / "run.json")
    record = json.loads((tmp_path / "run.json").read_text())
    assert 0 < record["rows_decided_early"] < 60
    share = f"{100 * record['tokens_decided_early'] / record['tokens']:.1f}%"
    assert f"{record['rows_decided_early']} rows ({share} of the tokens) decided by the wide part alone" in page.text
    _, page = report(texts, *options, "--no-cascade")
    assert "No row decided by the wide part alone: the cascade was off" in page.text
    _, page = report(texts)
    assert "wide part" not in page.text


# The rows to look at


def example_rows(page):
    """Return row numbers by the heading of their card."""
    headings = r"Nearest to a threshold|Nearest to another label|Most certain(?:: \w+)?"
    parts = re.split(f"({headings})", page.text.split("Rows to look at")[1].split("Time by phase")[0])
    rows = [[int(row) for row in re.findall(r"% (?:needs [\d.]+% )?row (\d+)", part)] for part in parts]
    return dict(zip(parts[1::2], rows[2::2], strict=True))


def test_the_rows_nearest_the_threshold_and_the_surest_are_shown(report, tmp_path):
    texts = reviews(80, 2, 3).texts
    _, page = report(records([*texts, *texts]), "--threshold", "0.7", "--details")
    scores = [float(line.split(",")[2]) for line in (tmp_path / "out.csv").read_text().splitlines()[1:]]
    first = {text: row for row, text in reversed(list(enumerate(texts)))}  # each text once, by its first row
    found = example_rows(page)
    nearest = sorted(first.values(), key=lambda row: abs(scores[row] - 0.7))[:6]
    assert "Nearest to another label Scores nearest to 0.7" in page.text
    assert sorted(found["Nearest to another label"]) == sorted(row + 1 for row in nearest)
    for label, order in (("negative", scores.__getitem__), ("positive", lambda row: -scores[row])):
        rows = [row for row in first.values() if (scores[row] >= 0.7) == (label == "positive")]
        surest = found[f"Most certain: {label}"]
        assert [scores[row - 1] for row in surest] == [scores[row] for row in sorted(rows, key=order)[:3]]
        best = scores[surest[0] - 1] if label == "positive" else 1 - scores[surest[0] - 1]
        assert f"{label} {100 * best:.1f}% row {surest[0]} " in page.text


def test_with_a_band_the_rows_nearest_to_its_edges_are_shown(report):
    _, page = report(records(reviews(60, 2, 3).texts), "--uncertain", "0.3,0.6")
    assert "Scores nearest to 0.3 and 0.6" in page.text
    assert page.charts["score"]["rules"] == [0.3, 0.6]
    assert not any(heading.startswith("Most certain: uncertain") for heading in example_rows(page))
    assert re.search(r"uncertain, rather (positive|negative) [5-7]\d\.\d% row ", page.text)


def test_of_three_labels_the_rows_with_hardly_a_likeliest_one_are_shown(report, tmp_path, bundle_of_three):
    texts = list(dict.fromkeys(reviews(90, 3, 3).texts))
    _, page = report(records(texts), "--model", str(bundle_of_three.path), "--details")
    rows = [
        sorted(map(float, line.split(",")[-3:])) for line in (tmp_path / "out.csv").read_text().splitlines()[1:]
    ]  # fmt: skip
    closest = sorted(range(len(rows)), key=lambda row: rows[row][2] - rows[row][1])[:6]
    assert "Nearest to another label The most probable label is barely ahead of the next" in page.text
    assert sorted(example_rows(page)["Nearest to another label"]) == sorted(row + 1 for row in closest)
    assert page.charts["score"]["rules"] == []
    assert "Probability of the predicted label" in page.text


def rows_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.usefixtures("small_chunks")
def test_of_several_labels_the_rows_nearest_to_a_threshold_and_the_surest_of_each_are_shown(
    report, score, tmp_path, multi_label_bundle
):
    texts = list(dict.fromkeys(reviews(90, 3, 3).texts))
    options = ("--model", str(multi_label_bundle.path))
    _, page = report(records(texts), *options)
    score(tmp_path / "in.jsonl", "-o", tmp_path / "out.jsonl", *options)
    rows = rows_of(tmp_path / "out.jsonl")
    thresholds = {"bad": 0.5, "good": 0.25, "mixed": 0.75}
    found = example_rows(page)
    distance = [min(abs(row[f"score_{label}"] - least) for label, least in thresholds.items()) for row in rows]
    nearest = sorted(range(len(rows)), key=distance.__getitem__)[:6]
    assert "Nearest to a threshold The label that the text barely has, or barely lacks" in page.text
    assert sorted(found.pop("Nearest to a threshold")) == sorted(row + 1 for row in nearest)
    first = rows[nearest[0]]
    label = min(thresholds, key=lambda one: abs(first[f"score_{one}"] - thresholds[one]))
    assert (
        f"{label} {100 * first[f'score_{label}']:.1f}% needs {thresholds[label]:.1%} row {nearest[0] + 1}" in page.text
    )
    given = {label for row in rows for label in row["labels"]}
    assert found.keys() == {f"Most certain: {label}" for label in given}
    for label in given:
        order = sorted((row for row in rows if label in row["labels"]), key=lambda row: -row[f"score_{label}"])
        shown = found[f"Most certain: {label}"]
        assert [rows[row - 1][f"score_{label}"] for row in shown] == [row[f"score_{label}"] for row in order[:3]]


def test_the_page_of_several_labels_has_a_bar_for_rows_without_any(report, tmp_path, multi_label_bundle):
    texts = reviews(90, 3, 3).texts
    strict = with_fields(multi_label_bundle, tmp_path / "strict", thresholds=(0.6, 0.5, 0.9))
    options = ("--model", str(strict.path), "--summary", tmp_path / "run.json")
    _, page = report(records(texts), *options)
    record = json.loads((tmp_path / "run.json").read_text())
    assert sum(record["labels"].values()) + record["rows_without_label"] > 90
    without = record["rows_without_label"]
    shown = page.text.split("a row can have several")[1].split("Distribution")[0]
    names = [name for name in ("bad", "good", "mixed", "(no label)") if name in shown]
    assert names == sorted(["bad", "good", "mixed", "(no label)"], key=shown.index)
    for name, rows in {"bad": 0, "good": 0, "mixed": 0, **record["labels"], "(no label)": without}.items():
        assert re.search(rf"{re.escape(name)} (needs [\d.]+% )?{100 * rows / 90:.3g}(\.0)?% {rows} ", shown)
    assert page.charts["score"]["rules"] == []
    assert "Highest probability of any label in each text" in page.text
    assert f"without a label {without} " in page.text
    assert without > 0
    assert "good needs 50.0% " in page.text


@pytest.mark.usefixtures("small_chunks")
def test_the_page_of_values_shows_them_in_their_unit_and_both_ends(report, tmp_path, regression_bundle):
    texts = list(dict.fromkeys(reviews(80, 2, 3).texts))
    options = ("--model", str(regression_bundle.path), "--summary", tmp_path / "run.json")
    _, page = report(records([*texts, *texts]), *options)
    record = json.loads((tmp_path / "run.json").read_text())
    values = [float(line.split(",")[1]) for line in (tmp_path / "out.csv").read_text().splitlines()[1:]]
    chart = page.charts["score"]
    assert (chart["edges"], chart["counts"], chart["unit"]) == (
        [*range(-7, 14)],
        record["score_histogram"]["counts"],
        "value",
    )
    assert (chart["rules"], sum(chart["expected"])) == ([], pytest.approx(len(values)))
    assert "labels" not in page.charts
    figures = {attributes["data-chart"] for tag, attributes in page.elements if tag == "figure"}
    assert figures == page.charts.keys()
    assert "Value of each text; the outer bins hold all values beyond the edges" in page.text
    order = sorted(range(len(texts)), key=values.__getitem__)
    shown = page.text.split("Rows to look at")[1].split("Time by phase")[0]
    assert "Nearest to another label" not in shown
    lowest, highest = shown.split("Highest values")
    found = [[values[int(row) - 1] for row in re.findall(r"\d row (\d+)", part)] for part in (lowest, highest)]
    assert found == [[values[row] for row in order[:6]], [values[row] for row in order[:-7:-1]]]
    assert f" {values[order[0]]:.4g} row " in lowest


def test_the_page_of_several_values_names_the_one_that_it_shows(report, tmp_path, bundle_of_three):
    model = as_several_values(bundle_of_three, tmp_path / "values").path
    result, page = report(records(reviews(60, 3, 3).texts), "--model", model)
    prices = [float(line.split(",")[1]) for line in (tmp_path / "out.csv").read_text().splitlines()[1:]]
    assert (tmp_path / "out.csv").read_text().startswith("row,score_price,score_stars,score_weight\n")
    assert "Value of price for each text; the outer bins hold all values beyond the edges" in page.text
    assert "All values are between 100 and 1000." in page.text
    lowest, highest = page.text.split("Highest values")
    assert f" {min(prices):.4g} row " in lowest.split("Lowest values")[1]
    assert f" {max(prices):.4g} row " in highest
    mean = sum(prices) / len(prices)
    assert f": values of price from {min(prices):.4g} to {max(prices):.4g}, mean {mean:.4g}.\n" in result.err


@pytest.mark.usefixtures("small_chunks")
def test_the_page_of_a_resumed_run_shows_the_rows_of_all_of_it(report, interrupted, tmp_path):
    texts = reviews(120, 2, 5).texts
    _, whole = report(records(texts))
    (tmp_path / "out.csv").unlink()
    stopped, page = report(records(texts), of=lambda *arguments: interrupted(5, *arguments))
    assert stopped.code == 143
    assert re.search(r"No scores The run was stopped after \d+ rows, so it has no scores yet; run the same", page.text)
    assert "Terminated" in page.text
    _, resumed = report(records(texts))
    assert "Resumed an interrupted run at row" in resumed.text
    assert example_rows(resumed) == example_rows(whole)
    assert {**resumed.charts, "pace": None} == {**whole.charts, "pace": None}
    assert bars(resumed, "Share of the scored rows") == bars(whole, "Share of the scored rows")


def test_examples_name_the_id_of_their_rows_and_the_probability_of_the_label_given(report, tmp_path):
    texts = list(dict.fromkeys(reviews(40, 2, 3).texts))
    _, page = report([{"id": f"<R&{row}>", "text": text} for row, text in enumerate(texts, start=1)])
    rows = [line.split(",") for line in (tmp_path / "out.csv").read_text().splitlines()[1:]]
    lowest = min(rows, key=lambda row: float(row[3]))
    assert f"negative {100 * (1 - float(lowest[3])):.1f}% row {lowest[0]} · id <R&{lowest[0]}> " in page.text


def test_of_several_inputs_each_example_names_its_own(score, tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl").write_text(f'{{"text": "good {name}"}}\n')
    files = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    assert score(*files, "-o", tmp_path / "out.csv", "--report", tmp_path / "run.html").code == 0
    assert f"row 2 · {files[1]} good b" in Page((tmp_path / "run.html").read_text()).text


def test_the_first_two_rejects_of_each_reason_are_shown(report):
    lines = ["broken 1", *records(["good", "", ""]), "<b>broken</b> 2", "broken 3", *records([" "])]
    _, page = report(lines)
    shown = page.text.split("The first of each reason")[1].split("Compared with")[0]
    assert shown.split(" row ") == [
        " empty_text", '3 · line 3 {"text": ""} empty_text', '4 · line 4 {"text": ""} invalid_json', "1 · line 1 broken 1 invalid_json",
        "5 · line 5 <b>broken</b> 2 ",
    ]  # fmt: skip


@pytest.mark.usefixtures("small_chunks")
def test_the_page_of_a_resumed_run_shows_the_rejects_of_all_of_it(report, interrupted, tmp_path):
    lines = ["broken", *records(reviews(80, 2, 5).texts)]
    report(lines, of=lambda *arguments: interrupted(5, *arguments))
    _, resumed = report(lines)
    assert "Resumed an interrupted run" in resumed.text
    assert "invalid_json row 1 · line 1 broken" in resumed.text


# Other ends of a run


@pytest.mark.parametrize(
    ("lines", "arguments", "code", "words"),
    [
        ([], [], 0, "The input has no rows to score"),
        (["broken"], [], 4, "the only record was rejected"),
        (records(["good", ""]), ["--strict"], 4, "none is allowed"),
        (
            records(["good"]),
            ["--model", "nowhere"],
            5,
            "There are no scores from this run: the model cannot be used here.",
        ),
        (records(["good"]), ["--text", "<b>body</b>"], 2, "has no column '<b>body</b>'"),
    ],
)
def test_there_is_a_page_whatever_became_of_the_run(report, lines, arguments, code, words):
    result, page = report(lines, *arguments)
    assert result.code == code
    assert words in page.text
    assert page.text.count("<b>body</b>") == (2 if "<b>body</b>" in words else 0)


def test_speed_and_stages_are_shown_only_if_rows_were_scored(report):
    _, page = report(records(["good", "bad"]))
    assert re.search(r"s in all; [\d,]+ rows and [\d,]+ tokens a second while scoring, in int8 on cpu", page.text)
    _, page = report(["broken"])
    assert "a second" not in page.text
    assert "decided by the wide part" not in page.text


def test_a_page_that_would_take_the_place_of_another_file_is_refused(score, tmp_path):
    (tmp_path / "in.jsonl").write_text('{"text": "good"}\n')
    result = score(tmp_path / "in.jsonl", "-o", tmp_path / "out.csv", "--report", tmp_path / "out.csv")
    assert result.code == 2
    assert "--report" in result.err
    assert "same file" in result.err


def test_drift_beyond_its_limit_is_marked(report):
    result, page = report(records([f"{text} xxxxx" for text in reviews(120, 2, 2).texts]), "--max-drift", "0.2")
    assert result.code == 3
    assert "beyond the limit of 0.2" in page.text
    assert re.search(
        r"Check first (All texts|[\d%]+ of the texts) have at least 5% unknown word pieces, against none in the test data; "
        "check some rows before you use the scores", page.text
    )  # fmt: skip


# Throughput


def test_a_long_run_is_shown_in_few_stretches_that_leave_nothing_out():
    pace = Throughput()
    for moment in range(1, 10_001):
        pace.add(moment / 10, moment * 7, moment * 700)
    found = pace.stretches
    assert 100 <= len(found) <= 240
    assert found[0].begin == 0
    assert found[-1].end > 990
    assert all(before.end == after.begin for before, after in pairwise(found))
    assert all(one.rows_per_second == pytest.approx(70) for one in found)
