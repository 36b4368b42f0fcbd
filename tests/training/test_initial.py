"""Fine-tuning: which weights are taken, what a run depends on, what is refused."""

import hashlib
from pathlib import Path

import pytest
import torch

from blindsr.model import architecture
from blindsr.runtime.errors import UserError
from blindsr.training import initial

HYPER = {"num_blocks": 1, "num_features": 4}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    return tmp_path


def network(name: str = "srresnet", seed: int = 0, **hyper):
    torch.manual_seed(seed)
    return architecture.build_backbone(name, HYPER | hyper, 4)


def test_weights_of_a_public_checkpoint_are_taken_relative_to_the_project(folder):
    other = network(seed=1)
    torch.save({"params_ema": {f"module.{k}": v for k, v in other.state_dict().items()}}, folder / "net.pth")
    for given in ("net.pth", str(folder / "net.pth")):
        mine = network(seed=0)
        initial.start_from(mine, given, 4)
        assert all(torch.equal(a, b) for a, b in zip(mine.parameters(), other.parameters(), strict=True))
    expected = hashlib.sha256((folder / "net.pth").read_bytes()).hexdigest()
    assert initial.digest("net.pth") == expected


def test_without_a_file_nothing_happens(folder):
    mine = network()
    initial.start_from(mine, None, 4)
    assert torch.equal(mine.conv_first.weight, network().conv_first.weight)
    assert initial.digest(None) is None
    initial.require_unchanged(folder / "record", None)
    assert not (folder / "record").exists()


def test_another_architecture_or_size_is_named(folder):
    torch.save(network("msrn").state_dict(), folder / "msrn.pth")
    with pytest.raises(UserError, match=r"msrn\.pth holds msrn and not srresnet: train that backbone"):
        initial.start_from(network(), "msrn.pth", 4)
    torch.save(network(num_features=8).state_dict(), folder / "wide.pth")
    with pytest.raises(UserError, match=r"another srresnet \(conv_first.weight is 8×3×3×3 in the file and 4×3"):
        initial.start_from(network(), "wide.pth", 4)
    torch.save(network(num_blocks=2).state_dict(), folder / "deep.pth")
    with pytest.raises(UserError, match=r"body.1.conv1.weight is 4×4×3×3 in the file and absent in the settings"):
        initial.start_from(network(), "deep.pth", 4)
    for read in (initial.digest, lambda path: initial.start_from(network(), path, 4)):
        with pytest.raises(UserError, match=r"train\.init_from absent\.pth is not a file: .*`blindsr export`"):
            read("absent.pth")


def test_a_changed_file_is_refused_until_the_training_has_ended(folder):
    record = folder / "record"
    initial.require_unchanged(record, "a" * 64)
    initial.require_unchanged(record, "a" * 64)
    with pytest.raises(UserError, match=f"has changed since this training began: put it back, or delete {record}"):
        initial.require_unchanged(record, "b" * 64)
    initial.forget(record)
    initial.forget(record)
    initial.require_unchanged(record, "b" * 64)


@pytest.mark.slow
def test_a_cell_trains_on_from_its_own_weights(undisturbed, local_run):
    """Six more iterations, killed once; with the file changed in between, it is refused."""
    start = undisturbed().folder / "models" / "srresnet-rff-0.safetensors"
    tuned = local_run(f"train.init_from={start}", "train.learning_rate=1e-9", "train.ema_decay=0.0")
    tuned.train()
    assert torch.allclose(tuned.weights(), undisturbed().weights(), atol=1e-6)
    assert not list((tuned.folder / ".train_state").glob("*.init_from"))

    copy = tuned.folder / "start.safetensors"
    copy.write_bytes(start.read_bytes())
    killed = local_run(f"train.init_from={copy}")
    die = "from blindsr.training import checkpoint as c; c.save = lambda *a: sys.exit(7)"
    killed.train(before=die, status=7)
    wide = architecture.build_backbone("srresnet", HYPER, 4)
    torch.save(wide.state_dict(), copy)
    assert "has changed since this training began" in killed.train(status=2)
