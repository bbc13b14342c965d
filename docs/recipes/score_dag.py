"""DAG for Airflow 3 or later that scores the reviews of the previous day, and retries where that can help."""

import os
import subprocess
from datetime import UTC, datetime, timedelta

from airflow.sdk import dag, task
from airflow.sdk.exceptions import AirflowFailException

FOLDER = "/srv/reviews"
# Name your model and the column of the texts here, as in "--model", "/srv/models/ours", "--text", "body".
OPTIONS = ["--min-rows", "1", "--max-drift", "0.1"]


@dag(schedule="30 2 * * *", start_date=datetime(2026, 1, 1, tzinfo=UTC), catchup=False, max_active_runs=1)
def score_reviews():
    # A retry resumes where the previous try stopped if it finds its files, so all workers must share FOLDER.
    @task(retries=3, retry_delay=timedelta(minutes=5), execution_timeout=timedelta(hours=6))
    def score(logical_date: datetime | None = None) -> dict[str, object]:
        # In Airflow 3 the logical date of a scheduled run is the time when it is due, not the day before.
        day = ((logical_date or datetime.now(UTC)) - timedelta(days=1)).strftime("%Y-%m-%d")
        if not os.path.exists(f"{FOLDER}/{day}.jsonl"):
            raise FileNotFoundError(f"{FOLDER}/{day}.jsonl does not exist yet")
        command = ["score", f"{FOLDER}/{day}.jsonl", "-o", f"{FOLDER}/{day}.csv", *OPTIONS]
        record = ["--summary", f"{FOLDER}/{day}.run.json", "--report", f"{FOLDER}/{day}.run.html"]
        code = subprocess.run([*command, *record], check=False).returncode
        if code in (2, 5, 130, 141):  # the command, the model or the GPU, a person: a retry would not help
            raise AirflowFailException(f"score failed with exit code {code}; its messages are above")
        if code not in (0, 3):  # 1: the environment; 4: the input, perhaps incomplete; 143, -9: terminated, killed
            raise RuntimeError(f"score failed with exit code {code}; its messages are above")
        return {"output": f"{FOLDER}/{day}.csv", "warnings": code == 3}

    @task.short_circuit
    def has_warnings(result: dict[str, object]) -> bool:
        return bool(result["warnings"])

    @task
    def notify(result: dict[str, object]) -> None:  # the place for your own alarm
        print(f"{result['output']} was published with warnings: records were rejected, or the data has drifted")

    result = score()
    has_warnings(result) >> notify(result)


score_reviews()
