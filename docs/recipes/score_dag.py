"""Airflow (3 and later): score the reviews of the day before, and do with each exit code what it asks for."""

import os
import subprocess
from datetime import UTC, datetime, timedelta

from airflow.sdk import dag, task
from airflow.sdk.exceptions import AirflowFailException

FOLDER = "/srv/reviews"


@dag(schedule="30 2 * * *", start_date=datetime(2026, 1, 1, tzinfo=UTC), catchup=False, max_active_runs=1)
def score_reviews():
    # A retry goes on where the run before it stopped, if it finds its files: FOLDER has to be the same for all workers.
    @task(retries=3, retry_delay=timedelta(minutes=5), execution_timeout=timedelta(hours=6))
    def score(logical_date: datetime | None = None) -> dict[str, object]:
        # In Airflow 3 the logical date of a run by a cron schedule is the moment it is due, not the day before.
        day = ((logical_date or datetime.now(UTC)) - timedelta(days=1)).strftime("%Y-%m-%d")
        if not os.path.exists(f"{FOLDER}/{day}.jsonl"):
            raise FileNotFoundError(f"{FOLDER}/{day}.jsonl is not there yet")
        command = ["score", f"{FOLDER}/{day}.jsonl", "-o", f"{FOLDER}/{day}.csv", "--max-drift", "0.1"]
        record = ["--summary", f"{FOLDER}/{day}.run.json", "--report", f"{FOLDER}/{day}.run.html"]
        code = subprocess.run([*command, *record], check=False).returncode
        if code in (2, 5, 130, 141):  # the command, the model or the GPU, a person: trying again would not help
            raise AirflowFailException(f"score ended with exit code {code}; its messages are above")
        if code not in (0, 3):  # 1: the environment; 4: the input, perhaps not all there yet; 143, -9: ended, killed
            raise RuntimeError(f"score ended with exit code {code}; the next try goes on where it stopped")
        return {"output": f"{FOLDER}/{day}.csv", "look": code == 3}

    @task.short_circuit
    def to_look_at(found: dict[str, object]) -> bool:
        return bool(found["look"])

    @task
    def tell(found: dict[str, object]) -> None:  # the place for your alarm
        print(f"{found['output']} is published, but look: records were rejected, or the data has drifted")

    found = score()
    to_look_at(found) >> tell(found)


score_reviews()
