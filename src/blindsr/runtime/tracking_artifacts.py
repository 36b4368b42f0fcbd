"""What MLflow keeps with a run: the weights as a model that `mlflow.pyfunc.load_model` takes, and files."""

import tempfile
from pathlib import Path
from typing import Any


def log_model(client: Any, run_id: str, weights: Path, loader: str) -> None:
    """Log the weights of a run as its model, unless it has one.

    Args:
        client: Of MLflow.
        run_id: MLflow's name of the run.
        weights: File of the weights.
        loader: Module that is installed where the model is loaded, with `_load_pyfunc(path)`.
    """
    run = client.get_run(run_id)
    if run.outputs and run.outputs.model_outputs:
        return
    import mlflow.pyfunc
    import numpy as np
    from mlflow.entities import LoggedModelOutput
    from mlflow.models import Model, ModelSignature
    from mlflow.types import Schema, TensorSpec

    images = Schema([TensorSpec(np.dtype(np.uint8), (-1, -1, -1, 3))])  # N, height, width, RGB
    model = client.create_logged_model(
        run.info.experiment_id, run.info.run_name, run_id, params=run.data.params, model_type="super-resolution"
    )
    with tempfile.TemporaryDirectory() as folder:
        mlflow.pyfunc.save_model(
            f"{folder}/model",
            loader_module=loader,
            data_path=str(weights),
            signature=ModelSignature(images, images),
            input_example=np.full((1, 8, 8, 3), 128, np.uint8),
            pip_requirements=["blindsr"],
            mlflow_model=Model(model_id=model.model_id, run_id=run_id),
        )
        client.log_model_artifacts(model.model_id, f"{folder}/model")
    client.finalize_logged_model(model.model_id, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, 0)])


def log_missing(client: Any, run_id: str, made: Path, folder: str) -> None:
    """Store a file with a run, unless it has one of that name.

    Args:
        client: Of MLflow.
        run_id: MLflow's name of the run.
        made: The file.
        folder: Of the run's artifacts.
    """
    if all(Path(there.path).name != made.name for there in client.list_artifacts(run_id, folder)):
        client.log_artifact(run_id, str(made), folder)
