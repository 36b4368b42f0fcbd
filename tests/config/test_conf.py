"""conf/ and params.yaml: composed as DVC does it, stale ones refused."""

import shutil
import sys
from pathlib import Path

import pytest
import yaml

from blindsr.config import conf
from blindsr.runtime.errors import UserError

ROOT = Path(__file__).resolve().parents[2]


def test_committed_params_yaml_is_the_composition_of_conf(monkeypatch: pytest.MonkeyPatch) -> None:
    composed = conf.compose(ROOT / "conf")
    assert yaml.safe_load((ROOT / "params.yaml").read_text()) == composed
    monkeypatch.setattr(conf, "compose", lambda _: pytest.fail("its first line should spare this"))
    conf.refuse_stale(composed, ROOT / "params.yaml")


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """params.yaml as `write` makes it, beside a copy of conf/."""
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    conf.write(tmp_path / "conf", tmp_path / "params.yaml")
    return tmp_path / "params.yaml"


def test_what_was_written_is_not_composed_again(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = yaml.safe_load(written.read_text())
    monkeypatch.setattr(conf, "compose", lambda _: pytest.fail("composed"))
    conf.refuse_stale(settings, written)


def test_a_change_of_conf_or_of_the_file_is_seen_behind_its_first_line(written: Path) -> None:
    def refused(says: str) -> None:
        with pytest.raises(UserError, match=says):
            conf.refuse_stale(yaml.safe_load(written.read_text()), written)

    text = written.read_text()
    written.write_text(text.replace("\nscale: 4\n", "\nscale: 2\n"))
    refused("differs from conf/ in scale[:,]")
    written.write_text(text)
    config = written.parent / "conf" / "config.yaml"
    before = config.read_text()
    config.write_text(before.replace("\nscale: 4", "\nscale: 3"))
    refused("differs from conf/ in scale[:,]")
    config.write_text(before)
    (written.parent / "conf" / "reg" / "new.yaml").write_text("names: [new]\n")  # which nothing composes
    conf.refuse_stale(yaml.safe_load(text), written)


def test_settings_that_depend_on_more_than_conf_are_always_composed(
    written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as ${oc.env:NAME}: the next one who reads them may have another environment."""
    monkeypatch.setenv("BLINDSR_TEST_SEED", "5")
    config = written.parent / "conf" / "config.yaml"
    config.write_text(config.read_text() + "\nextra: ${oc.env:BLINDSR_TEST_SEED}\n")
    conf.write(written.parent / "conf", written)
    settings = yaml.safe_load(written.read_text())
    conf.refuse_stale(settings, written)
    monkeypatch.setenv("BLINDSR_TEST_SEED", "6")
    with pytest.raises(UserError, match="differs from conf/ in extra"):
        conf.refuse_stale(settings, written)


@pytest.mark.needs("dvc")
def test_composition_equals_that_of_dvc(tmp_path: Path) -> None:
    from dvc.utils.hydra import compose_and_dump

    overrides = ["reg=rff", "backbone=rrdb", "train.iterations=7"]
    compose_and_dump(tmp_path / "params.yaml", str(ROOT / "conf"), None, "config", "", overrides)
    assert yaml.safe_load((tmp_path / "params.yaml").read_text()) == conf.compose(ROOT / "conf", overrides)


@pytest.mark.parametrize("profile", ["embedded", "reduced", "paper"])
def test_one_regularizer_and_one_backbone_in_every_profile(profile: str) -> None:
    composed = conf.compose(ROOT / "conf", [f"profile={profile}", "reg=rff", "backbone=rrdb"])
    assert composed["profile"] == profile
    assert composed["reg"]["names"] == ["rff"]
    assert composed["backbone"]["names"] == ["rrdb"]


def test_the_paper_profile_has_the_four_backbones_at_full_size() -> None:
    composed = conf.compose(ROOT / "conf", ["profile=paper"])
    assert composed["backbone"]["names"] == ["srresnet", "rrdb", "msrn", "swinir"]
    assert composed["backbone"]["hyper"]["srresnet"] == {"num_blocks": 16, "num_features": 64}
    assert composed["train"]["iterations"] == 500_000


@pytest.mark.parametrize(
    ("override", "named"),
    [("reg=rfff", "rff_released"), ("train.iteration=3", "iteration"), ("profile=huge", "embedded")],
)
def test_a_wrong_override_is_one_line_that_names_the_choices(override: str, named: str) -> None:
    with pytest.raises(UserError) as error:
        conf.compose(ROOT / "conf", [override])
    assert named in str(error.value)
    assert "\n" not in str(error.value)


def test_another_encoding_is_one_line_that_names_the_file(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    path = tmp_path / "conf" / "reg" / "paper.yaml"
    path.write_text("# größer\n" + path.read_text(), "latin-1")
    with pytest.raises(UserError, match=r"conf/reg/paper\.yaml is not UTF-8 \(byte 0xf6 at 4\)"):
        conf.compose(tmp_path / "conf", ["reg=paper"])


def test_a_stale_params_yaml_is_refused_with_its_keys_and_the_mend(tmp_path: Path) -> None:
    (tmp_path / "conf").symlink_to(ROOT / "conf")
    settings = conf.compose(ROOT / "conf")
    conf.refuse_stale(settings, tmp_path / "params.yaml")
    settings["train"]["iterations"] += 1
    settings["extra"] = 1
    with pytest.raises(UserError, match=r"train\.iterations, extra: run `make params`"):
        conf.refuse_stale(settings, tmp_path / "params.yaml")


def test_without_hydra_any_params_yaml_will_do_and_composing_names_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "hydra", None)
    (tmp_path / "conf").symlink_to(ROOT / "conf")
    conf.refuse_stale({"anything": 1}, tmp_path / "params.yaml")
    with pytest.raises(UserError, match="conf/ needs hydra-core, which is not installed: pip install hydra-core"):
        conf.compose(tmp_path / "conf")


def test_without_conf_any_params_yaml_will_do(tmp_path: Path) -> None:
    conf.refuse_stale({"anything": 1}, tmp_path / "params.yaml")
