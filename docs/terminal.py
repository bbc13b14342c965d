"""Script that draws docs/terminal.svg, the picture in the README: a real run of `score`, interrupted once.

    python docs/terminal.py REVIEWS.jsonl

About 2,500 reviews with an id make a run that is long enough to interrupt.
"""

import argparse
import fcntl
import html
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

COLUMNS = 104
COMMAND = "score reviews.jsonl -o out.csv --summary run.json"
SHOWN = [
    "head -n 4 out.csv",
    "jq -c '{rows_in, rows_scored, resumed_from_row, rows_per_second}' run.json",
]
LINE, CHARACTER, MARGIN = 19, 8.2, 16  # pixels
HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("reviews", type=Path)
    parser.add_argument("--after", type=float, default=12, help="seconds before the run is interrupted")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(arguments.reviews, folder / "reviews.jsonl")
        lines = [f"$ {COMMAND}", *shown(in_terminal(folder, arguments.after)), f"$ {COMMAND}"]
        lines += shown(in_terminal(folder, None), frame=False)
        for command in SHOWN:
            done = subprocess.run(command, shell=True, cwd=folder, capture_output=True, text=True, check=True)
            lines += [f"$ {command}", *done.stdout.splitlines()]
    print("\n".join(lines))
    (HERE / "terminal.svg").write_text(picture(lines), encoding="utf-8")


def in_terminal(folder: Path, interrupt_after: float | None) -> str:
    """Run `score` in a pseudo-terminal, and return everything that it sent there."""
    here, there = pty.openpty()
    fcntl.ioctl(there, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS - 4, 0, 0))
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent), "SCORE_PROVIDER": "cpu"}
    run = subprocess.Popen(
        [sys.executable, "-m", "scorer", *COMMAND.split()[1:]],
        cwd=folder, env=environment, stdin=there, stdout=there, stderr=there, start_new_session=True,
    )  # fmt: skip
    os.close(there)
    sent, start = b"", time.monotonic()
    while True:
        try:
            piece = os.read(here, 4096)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        sent += piece
        if interrupt_after is not None and time.monotonic() - start > interrupt_after and b"rows/s" in piece:
            run.send_signal(signal.SIGINT)
            interrupt_after = None
    run.wait()
    return sent.decode()


def shown(sent: str, *, frame: bool = True) -> list[str]:
    """Return the lines that stay on a terminal.

    Args:
        sent: bytes that the terminal received, decoded.
        frame: keep the last frame of the progress bar, which a real terminal wipes.
    """
    lines = []
    for line in re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", sent).replace("\r\n", "\n").split("\n"):
        frames = [part.rstrip() for part in line.split("\r") if part.strip()]
        bars = [part for part in frames if "rows/s" in part and "%" in part]
        if bars and frame:
            lines.append(f"{bars[-1]}^C")
        lines += [part for part in frames[-1:] if part not in bars and not part.startswith("scoring ")]
    return lines


def picture(lines: list[str]) -> str:
    wrapped = [line[at : at + COLUMNS] for line in lines for at in range(0, max(1, len(line)), COLUMNS)]
    width, height = round(COLUMNS * CHARACTER + 2 * MARGIN), len(wrapped) * LINE + 2 * MARGIN
    texts = []
    for number, line in enumerate(wrapped):
        colour = "#7ee787" if line.startswith("$ ") else "#e6edf3"
        at = MARGIN + (number + 0.75) * LINE
        texts.append(f'<text x="{MARGIN}" y="{at:.0f}" fill="{colour}" xml:space="preserve">{html.escape(line)}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">\n'
        "<title>score, interrupted and resumed</title>\n"
        f'<rect width="{width}" height="{height}" rx="8" fill="#0d1117"/>\n'
        '<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace" font-size="13.5">\n'
        + "\n".join(texts)
        + "\n</g>\n</svg>\n"
    )


if __name__ == "__main__":
    main()
