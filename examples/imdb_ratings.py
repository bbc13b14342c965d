"""Film reviews with their stars from the Large Movie Review Dataset: stars-train.jsonl and stars-test.jsonl.

    python examples/imdb_ratings.py aclImdb

The stars, 1 to 4 and 7 to 10, are in the names of the files: 0_9.txt has nine. The reviews of one film are neighbours.
"""

import json
import sys
from pathlib import Path


def main(folder: str) -> None:
    for split in ("train", "test"):
        paths = [path for part in ("neg", "pos") for path in (Path(folder) / split / part).glob("*.txt")]
        paths.sort(key=lambda path: (path.parent.name, int(path.stem.split("_")[0])))
        with open(f"stars-{split}.jsonl", "w", encoding="utf-8") as file:
            for path in paths:
                number, stars = path.stem.split("_")
                record = {"id": f"{path.parent.name}-{number}", "text": path.read_text("utf-8"), "stars": int(stars)}
                file.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
