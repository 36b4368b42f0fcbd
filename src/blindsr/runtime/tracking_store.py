"""Where runs are tracked: the address of an MLflow store, its client, this project's experiment in it.

MLflow takes three seconds to import, so only what connects does it.
"""

import contextlib
import logging
import os
import re
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from blindsr.runtime import packages, paths, privacy
from blindsr.runtime.errors import UserError

EXPERIMENT = "blindsr"
KEY_TAG = "blindsr.run"
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
        raise UserError(
            f"MLflow at {shown(uri)} cannot be used ({reason(error)}): check the address, and for a server that "
            "asks for a user MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        ) from None


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
    """The run with this key, or None."""
    found = client.search_runs([experiment], f"tags.`{KEY_TAG}` = '{key}'", max_results=1)
    return found[0] if found else None


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
    return MlflowClient(uri)


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
        finally:
            engine.dispose()
    except Exception as error:  # of SQLAlchemy, of any driver, or a driver that is not installed
        hint = "check the address and the server"
        if uri.startswith(_SQLITE):
            hint = "another process holds it" if "locked" in str(error) else "if it is damaged, move it away"
        raise UserError(f"the database {shown(uri)} cannot be opened ({reason(error)}): {hint}") from None


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
