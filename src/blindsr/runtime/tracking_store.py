"""Where runs are tracked: the address of an MLflow store, its client, this project's experiment in it.

MLflow takes three seconds to import, so only what connects does it.
"""

import contextlib
import logging
import os
import re
import socket
import sqlite3
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from filelock import FileLock, Timeout

from blindsr.runtime import deadline, packages, paths, privacy
from blindsr.runtime.errors import UserError

EXPERIMENT = "blindsr"
KEY_TAG = "blindsr.run"
RUN, SYNC = "run", "sync"
"""What `alone` is for: a run that is looked for and made; all runs that are published."""
_SQLITE = "sqlite:///"
_KIND = {"mlflow.experimentKind": "custom_model_development"}  # its pages open on runs, not on language models
_WITH_ADDRESS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
)
_PAGE = 1000  # runs that are asked for at a time
_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
_DATABASES = ("sqlite", *_PORTS)
_PATIENCE = 5  # seconds for a database server to take a connection
_ANSWER, _TRANSFER = 20.0, 300.0  # seconds for a call of a server, and for one with files
_SMALL = 2**28  # bytes of an SQLite file that is looked through in a moment
_DAMAGED = ("malformed", "_alembic_tmp_", "not a database", "database schema", "no such table", "no such column")


def tracking_uri() -> str:
    """MLFLOW_TRACKING_URI, or a SQLite file in the project's root, shared by all experiments."""
    return os.environ.get("MLFLOW_TRACKING_URI") or own()


def own() -> str:
    """The address of the project's own SQLite file.

    In an address % and ? mean something, and MLflow is not of one mind about how they are written in a path. So a
    project with such a name is addressed from the working directory, which is inside of it.
    """
    path = str(paths.project_root() / "mlflow.db")
    if set(path) & set("%?"):
        path = os.path.relpath(path)
    return _SQLITE + path.replace("%", "%25").replace("?", "%3F")


def _database(uri: str) -> Path:
    """The file of an SQLite address."""
    return Path(unquote(uri.removeprefix(_SQLITE)))


def shown(uri: str) -> str:
    """The address, or a text with addresses, without the passwords in it."""
    return privacy.without_secrets(uri)


@contextmanager
def asked(uri: str) -> Iterator[None]:
    """Turn whatever fails inside of the block into a UserError of one line.

    Args:
        uri: Address of the store that is used there.

    Raises:
        UserError: that names the address, without a password.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # of MLflow, SQLAlchemy, requests, or a database's driver
        said = reason(error)
        if _is_damage(uri, said):
            raise _damaged(uri, said) from None
        hint = "check the address and the server"
        if re.search(r"\b(401|403)\b|[Uu]nauthori[sz]ed|Forbidden|PERMISSION_DENIED|UNAUTHENTICATED", said):
            hint = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        raise UserError(f"MLflow at {shown(uri)} cannot be used ({said}): {hint}") from None


def connect(uri: str, *, new: bool = False) -> Any:
    """Open a store; one that is not there costs its first call seconds, not minutes.

    Args:
        uri: An address with "://" in it, or "databricks".
        new: An SQLite file that is not there may be made.

    Returns:
        MLflow's client.

    Raises:
        UserError: for what is no address, for an SQLite file that is not there, for a database that cannot be opened,
            and where MLflow is not installed.
    """
    if "://" not in uri and uri != "databricks":
        raise UserError(f"{shown(uri)} is no address of MLflow: give one such as http://mlflow.example.org:5000")
    file = _database(uri)
    if uri.startswith(_SQLITE) and not new and not file.exists():
        raise UserError(f"{file} is not there: `dvc repro` records runs, `blindsr runs sync` those of a `dvc pull`")
    return client(uri)


def runs(client: Any) -> Iterator[Any]:
    """Every run of this project's experiment, as MLflow's own entities, the oldest first."""
    experiment = client.get_experiment_by_name(EXPERIMENT)
    token: str | None = ""
    while experiment and token is not None:
        order = ["attributes.start_time ASC"]
        page = client.search_runs([experiment.experiment_id], "", max_results=_PAGE, order_by=order, page_token=token)
        yield from page
        token = page.token or None


def find(client: Any, experiment: str, key: str) -> Any:
    """The run with this key, or None; of several, the one that all agree on."""
    found = _with_key(client, experiment, key)
    return found[0] if found else None


def make(client: Any, experiment: str, key: str, tags: Mapping[str, str], **more: Any) -> str | None:
    """Make a run, unless another machine has just made it.

    Args:
        client: Of the store.
        experiment: Id of this project's experiment.
        key: Of all that determines the run; it has been looked for.
        tags: Of the run.
        **more: Other arguments of MLflow's `create_run`.

    Returns:
        Id of the new run; None if there is one of another machine, which is going to complete it.
    """
    made = client.create_run(experiment, tags={**tags, KEY_TAG: key}, **more).info.run_id
    if find(client, experiment, key).info.run_id == made:
        return str(made)
    client.delete_run(made)
    return None


def is_deleted(client: Any, run_id: str) -> bool:
    """Whether a run has been deleted since it was found or made."""
    return bool(client.get_run(run_id).info.lifecycle_stage == "deleted")


def settle(client: Any, experiment: str, key: str) -> None:
    """Leave one run with this key, if two machines have made it at once and both have ended.

    Whoever ends last sees both. Which of them stays does not depend on who looks.
    """
    first, *others = _with_key(client, experiment, key) or [None]
    for other in others:
        if first.info.status != "RUNNING" != other.info.status:
            client.delete_run(other.info.run_id)


def _with_key(client: Any, experiment: str, key: str) -> list[Any]:
    found = client.search_runs([experiment], f"tags.`{KEY_TAG}` = '{key}'", max_results=_PAGE)
    return sorted(found, key=lambda run: str(run.info.run_id))


@contextmanager
def alone(uri: str, what: str) -> Iterator[None]:
    """Keep other processes from doing the same: with a store on this machine of all projects, else of this one.

    Args:
        uri: Address of the store.
        what: Is done: one word.

    Yields:
        Nothing.
    """
    place = paths.project_root() / ".train_state" / f"mlflow.{what}.lock"
    if uri.startswith(_SQLITE) and uri != own():
        place = _database(uri).absolute()
        place = place.with_name(f".{place.name}.{what}.lock")
    place.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(place)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if what == SYNC:
            print(f"another process publishes to {shown(uri)}: waiting for it", file=sys.stderr, flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def client(uri: str) -> Any:
    """MLflow's client of a store, as `connect` returns it; an SQLite file that is not there is made."""
    packages.require("mlflow", "`blindsr runs`")
    if uri.split(":")[0].split("+")[0] in _DATABASES:
        _require_opening(uri)
    # short, and before the import that reads them: an unreachable server costs seconds, not minutes
    for variable, value in (
        ("MLFLOW_HTTP_REQUEST_TIMEOUT", "5"),
        ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1"),
        ("MLFLOW_DISABLE_TELEMETRY", "true"),
        ("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false"),
        ("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true"),
    ):
        os.environ.setdefault(variable, value)
    from mlflow.tracking import MlflowClient

    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # it warns of each of its own retries
    found = MlflowClient(uri)
    if uri.startswith(("sqlite:", "file:")):
        return found
    return deadline.Patient(found, lambda call: _TRANSFER if "artifact" in call else _ANSWER)


def _require_opening(uri: str) -> None:
    """Open a database once: MLflow itself tries ten times, for two minutes, with many lines for each.

    Raises:
        UserError: where that fails.
    """
    from sqlalchemy import create_engine, make_url

    try:
        url = make_url(uri)
        name = url.get_backend_name()
        if url.host:  # drivers have no time limit of one name
            socket.create_connection((url.host, url.port or _PORTS[name]), timeout=_PATIENCE).close()
        if name == "sqlite" and url.database and not url.query:
            _database(uri).absolute().parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(url)
        try:
            with engine.connect() as connection:
                if name == "sqlite":  # which opens a file that is none of its own, too
                    connection.exec_driver_sql("SELECT name FROM sqlite_master").fetchall()
                    file = _database(uri)
                    if file.is_file() and file.stat().st_size < _SMALL:
                        _require_whole(connection.exec_driver_sql("PRAGMA quick_check(1)").scalar())
        finally:
            engine.dispose()
    except Exception as error:  # of SQLAlchemy, of any driver, or a driver that is not installed
        said = reason(error)
        if _is_damage(uri, said):
            raise _damaged(uri, said) from None
        hint = "check the address and the server"
        if uri.startswith(_SQLITE):
            hint = "another process holds it" if "locked" in str(error) else "check that it is a file of yours"
        raise UserError(f"the database {shown(uri)} cannot be opened ({said}): {hint}") from None


def _require_whole(found: str | None) -> None:
    if found != "ok":
        raise ValueError(f"malformed: {found}")


def _is_damage(uri: str, said: str) -> bool:
    return uri.startswith(_SQLITE) and any(sign in said for sign in _DAMAGED)


def _damaged(uri: str, said: str) -> UserError:
    again = "move it away, and `blindsr runs sync` makes it anew from what is recorded"
    return UserError(f"the database {shown(uri)} is damaged ({said}): {again}")


def experiment_id(client: Any, store: str) -> str:
    """This project's experiment at the address `store`, made if it is not there."""
    found = client.get_experiment_by_name(EXPERIMENT)
    location = (paths.project_root() / "mlartifacts").as_uri() if store.startswith("sqlite:") else None
    if found:
        if location and store == own() and found.artifact_location != location:
            _move_artifacts(store, found.artifact_location, location)
        return str(found.experiment_id)
    try:
        return str(client.create_experiment(EXPERIMENT, artifact_location=location, tags=_KIND))
    except Exception:  # another machine may just have made it
        found = client.get_experiment_by_name(EXPERIMENT)
        if found is None:
            raise
        return str(found.experiment_id)


def serve(uri: str, port: int) -> None:
    """Run MLflow's pages with one worker on 127.0.0.1, until SIGINT or SIGTERM.

    Args:
        uri: Of the store.
        port: On this machine.

    Raises:
        UserError: if the server fails.
    """
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")  # of language models, in eight processes
    from mlflow.cli import cli  # in this process, which has imported most of it

    artifacts = str(paths.project_root() / "mlartifacts")
    options = {"backend-store-uri": uri, "default-artifact-root": artifacts, "port": str(port), "workers": "1"}
    given = [part for name, value in options.items() for part in (f"--{name}", value)]
    try:
        cli.main(args=["ui", *given], prog_name="mlflow", standalone_mode=False)
    except SystemExit as stopped:
        if stopped.code:
            raise UserError("the MLflow server failed: see above") from None


def reason(error: Exception) -> str:
    """What an error says, in one line without passwords, and without the statement that SQLAlchemy adds."""
    said = " ".join(str(getattr(error, "orig", None) or error).split())
    said = re.sub(r" ?(\[SQL: |\(Background on this error).*", "", said)
    return shown(said)[:200] or type(error).__name__


def _move_artifacts(store: str, old: str, new: str) -> None:
    """The project was copied or moved with its database, which has absolute addresses: those of files become its own.

    MLflow offers no call for it. Else a copy would write into the project that it was copied from.
    """
    with contextlib.closing(sqlite3.connect(_database(store))) as database, database:
        for table, column in _WITH_ADDRESS:
            moved = f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?"
            database.execute(moved, (new, len(old) + 1, len(old), old))
