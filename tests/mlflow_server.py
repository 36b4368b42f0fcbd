"""A real `mlflow server` on a real PostgreSQL, as a team runs it; skipped where Debian's packages are not there."""

import contextlib
import getpass
import importlib.util
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

_LIMIT = 180  # seconds until a server that says nothing counts as broken


def programs() -> Path:
    """The folder of PostgreSQL's server programs, which Debian keeps off the path; skips without it or its driver."""
    found = shutil.which("pg_ctl")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: path.parent.name.zfill(4))
    names = ("initdb", "pg_ctl", "postgres")
    here = [folder for folder in folders if all((folder / name).exists() for name in names)]
    if not here:
        pytest.skip("PostgreSQL's server is absent: apt-get install postgresql")
    if importlib.util.find_spec("psycopg2") is None:
        pytest.skip("PostgreSQL's driver is absent: pip install psycopg2-binary")
    return here[-1]


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """SQLAlchemy's address of an empty database; its server speaks through a socket in a folder, so on no port."""
    folder = programs()
    # root may not run it, and another user cannot enter pytest's folders; the path of a socket must be short, too
    owner = {"user": pwd.getpwnam("nobody").pw_uid, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    name = "nobody" if owner else getpass.getuser()
    place = Path(tempfile.mkdtemp(prefix="pg-"))
    try:
        if owner:
            os.chown(place, owner["user"], owner["group"])
        data, log = place / "data", place / "log"

        def run(*command: str) -> None:
            done = subprocess.run(
                [str(folder / command[0]), "-D", str(data), *command[1:]],
                cwd=place, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                check=False, timeout=_LIMIT, **owner,
            )  # fmt: skip
            assert done.returncode == 0, done.stdout

        run("initdb", "--username", name, "--auth", "trust", "--encoding", "UTF8", "--no-sync")
        options = f"-c listen_addresses='' -c unix_socket_directories='{place}' -c fsync=off"
        run("pg_ctl", "-w", "-l", str(log), "-o", options, "start")
        try:
            yield f"postgresql+psycopg2://{name}@/postgres?host={quote(str(place), safe='')}"
        finally:
            run("pg_ctl", "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(place)


@contextlib.contextmanager
def mlflow_server(store: str, folder: Path) -> Iterator[str]:
    """Address of a server that keeps runs at `store` and artifacts in `folder`, until the block ends."""
    command = [
        sys.executable, "-m", "mlflow", "server",
        "--backend-store-uri", store, "--artifacts-destination", str(folder),
        "--host", "127.0.0.1", "--port", "0", "--workers", "1",
    ]  # fmt: skip
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "PYTHONUNBUFFERED": "1"}
    environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"  # of language models
    environment.pop("MLFLOW_TRACKING_URI", None)
    folder.mkdir()
    server = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip
    guard = threading.Timer(_LIMIT, server.kill)
    guard.start()
    try:
        assert server.stdout is not None
        said = ""
        address = None
        while address is None or "startup complete" not in said:
            line = server.stdout.readline()
            assert line, f"the server has ended: {said}"
            said += line
            address = address or re.search(r"running on (http://\S+)", line)
        drain = threading.Thread(target=server.stdout.read, daemon=True)  # a full pipe would stop it
        drain.start()
        yield address[1]
    finally:
        guard.cancel()
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(_LIMIT)
