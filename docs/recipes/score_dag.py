"""Airflow (3 and later): score the reviews of each day, whatever the exit code handled as it should be."""

import subprocess
from datetime import datetime, timedelta

from airflow.sdk import dag, task
from airflow.sdk.exceptions import AirflowFailException

FOLDER = "/srv/reviews"


@dag(schedule="30 2 * * *", start_date=datetime(2026, 1, 1), catchup=False, max_active_runs=1)
def score_reviews():
    # A retry goes on where the run before it stopped, if it finds its files: FOLDER has to be the same for all workers.
    @task(retries=3, retry_delay=timedelta(minutes=5), execution_timeout=timedelta(hours=6))
    def score(ds: str) -> dict[str, object]:
        command = ["score", f"{FOLDER}/{ds}.jsonl", "-o", f"{FOLDER}/{ds}.csv", "--max-drift", "0.1"]
        record = ["--summary", f"{FOLDER}/{ds}.run.json", "--report", f"{FOLDER}/{ds}.run.html"]
        code = subprocess.run([*command, *record], check=False).returncode
        if code in (2, 4, 5):  # the command, the input, or the model: trying again would not help
            raise AirflowFailException(f"score ended with exit code {code}; see {FOLDER}/{ds}.run.json")
        if code not in (0, 3):  # 1: the environment; 130, 143, -9: interrupted, terminated, killed; 141: nobody reads
            raise RuntimeError(f"score ended with exit code {code}; the next try goes on where it stopped")
        return {"output": f"{FOLDER}/{ds}.csv", "look": code == 3}

    @task.short_circuit
    def to_look_at(found: dict[str, object]) -> bool:
        return bool(found["look"])

    @task
    def tell(found: dict[str, object]) -> None:
        print(f"{found['output']} is published, but look: records were rejected, or the data has drifted")

    found = score()
    to_look_at(found) >> tell(found)


score_reviews()
