"""Runs that train, as one screen, from a real MLflow store."""

from pathlib import Path

import pytest
from rich.console import Console

from blindsr.apps import watch
from blindsr.apps.watch import Now
from blindsr.runtime.errors import UserError

pytestmark = pytest.mark.needs("mlflow")


@pytest.mark.parametrize(
    ("points", "expected"),
    [([], None), ([(10, 1.0)], None), ([(10, 1.0), (20, 1.0)], None), ([(20, 6.0), (10, 1.0)], 2.0),
     ([(i, 3.0 if i < 90 else i) for i in range(100)], 1.0)],
)  # fmt: skip
def test_the_pace_is_that_of_the_last_points(points: list[tuple[int, float]], expected: float | None) -> None:
    assert watch.pace(points) == expected


def test_a_table_by_hand() -> None:
    values = {"l1": 0.0512, "psnr_db_training": 20.126, "psnr_db_clean": 27.0, "psnr_db_b-n-j": 24.0,
              "psnr_db_mean": 1, "psnr_db/Set5/clean": 3.0, "detail_cosine_training": 0.15}  # fmt: skip
    console = Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(
        watch.table([Now("a-b-0", "RUNNING", 120, 480, 2.0, values), Now("a-c-0", "FINISHED", 480, 480, None, {})])
    )
    lines = console.export_text().splitlines()
    assert lines[4].replace(" ", "") == "│a-b-0│120/480│3min│0.051│20.13│0.150│25.50│"
    assert lines[5].replace(" ", "") == "│a-c-0│480/480│finished│││││"


def test_what_trains_comes_from_the_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from mlflow.entities import Metric, Param
    from mlflow.tracking import MlflowClient

    store = f"sqlite:///{tmp_path / 'mlflow.db'}"
    client = MlflowClient(store)
    experiment = client.create_experiment("blindsr", artifact_location=(tmp_path / "artifacts").as_uri())
    report = client.create_run(experiment, run_name="report-tiny").info.run_id
    client.set_terminated(report)
    with pytest.raises(UserError, match="no runs in"):
        watch.run(store, once=True)
    made = client.create_run(experiment, run_name="srresnet-rff-0").info.run_id
    points = [Metric("l1", 0.5 - step / 100, 1000 * step, step) for step in (2, 4, 6)]
    client.log_batch(made, metrics=points, params=[Param("train.iterations", "10")])
    (found,) = watch.state(client)
    assert found._replace(silent=0.0) == Now("srresnet-rff-0", "RUNNING", 6, 10, 1.0, {"l1": 0.44})
    assert watch._left(found).startswith("silent ")  # its clock begins in 1970
    watch.run(store, once=True)
    assert "srresnet" in capsys.readouterr().out
