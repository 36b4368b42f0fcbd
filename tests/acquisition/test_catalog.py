"""Manifests: what is accepted, and the line that names file, key and what to do."""

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from blindsr.acquisition import catalog
from blindsr.acquisition.catalog import FilesSource, Manifest
from blindsr.runtime.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
MANIFESTS = ROOT / "data" / "manifests"


def manifest(**settings: object) -> Manifest:
    """A benchmark manifest that the user must bring, with the given settings."""
    base = {
        "name": "Toy",
        "role": "benchmark",
        "title": "t",
        "licence": "l",
        "sources": [{"kind": "user", "help": "ask the authors"}],
    }
    return Manifest.model_validate(base | settings)


@pytest.mark.parametrize("path", sorted(MANIFESTS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_manifest_is_valid_and_states_its_terms(path: Path) -> None:
    loaded = catalog.load_manifest(path.stem, MANIFESTS)
    assert loaded.licence
    assert loaded.sources


def test_no_embedded_test_photo_is_trained_on() -> None:
    train, test = (catalog.load_manifest(f"embedded_{part}", MANIFESTS) for part in ("train", "test"))
    assert len(train.files) + len(test.files) == 8
    assert not {entry.sha256 for entry in train.files.values()} & {entry.sha256 for entry in test.files.values()}


def test_an_unknown_set_lists_the_known(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no data set 'Set6'.*Set14, Set5, .*embedded_test, embedded_train"):
        catalog.load_manifest("Set6", MANIFESTS)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name: [", "is not YAML"),
        ("title: \udcf6", r"Toy\.yaml is not UTF-8 \(byte 0xf6 at 7\)"),
        ("name: Toy\nrole: bench\n", "role"),
        (yaml.safe_dump(manifest(name="Other").model_dump(mode="json")), "make them equal"),
    ],
)
def test_a_broken_manifest_is_one_line(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "Toy.yaml").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(UserError, match=says) as error:
        catalog.load_manifest("Toy", tmp_path)
    assert "\n" not in str(error.value)


def test_numbered_files_and_single_files_exclude_each_other() -> None:
    numbered = {"format": "{:04d}.png", "first": 801, "last": 900}
    assert list(manifest(numbered=numbered).expected)[::99] == ["0801.png", "0900.png"]
    with pytest.raises(ValueError, match="one of"):
        manifest(numbered=numbered, files={"a.png": {}})


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("DIV2K_train", 800),
        ("DIV2K_valid", 100),
        ("NTIRE2018_mild", 100),
        ("NTIRE2018_difficult", 100),
        ("Set5", 5),
        ("Set14", 14),
        ("BSD100", 100),
        ("Urban100", 100),
        ("Test2k", 100),
    ],
)
def test_the_sets_of_the_paper_know_their_files(name: str, count: int) -> None:
    assert len(catalog.load_manifest(name, MANIFESTS).expected) == count


def test_manga109_has_its_volumes_and_no_download() -> None:
    loaded = catalog.load_manifest("Manga109", MANIFESTS)
    assert len(set(loaded.titles)) == 109
    assert [source.kind for source in loaded.sources] == ["user"]


@pytest.mark.parametrize("name", ["Set5", "Set14", "BSD100", "Urban100"])
def test_benchmarks_know_size_hash_and_pixels_of_every_image(name: str) -> None:
    loaded = catalog.load_manifest(name, MANIFESTS)
    assert all(entry.size and entry.sha256 for entry in loaded.files.values())
    assert len(loaded.known_pixels) == len(loaded.files)


def test_real_lr_sets_name_their_hr_set() -> None:
    for track in ("mild", "difficult", "wild"):
        loaded = catalog.load_manifest(f"NTIRE2018_{track}", MANIFESTS)
        assert loaded.hr == "DIV2K_valid"
        assert (loaded.pairing.rule, loaded.aligned, loaded.scale) == ("prefix", False, 4)


PREFIX, FOLDERS = {"rule": "prefix", "characters": 4}, {"rule": "folders", "hr": "HR", "lr": "LR"}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"role": "pairs"}, "says `pairing` and `aligned`"),
        ({"role": "pairs", "pairing": FOLDERS}, "says `pairing` and `aligned`"),
        ({"role": "pairs", "pairing": PREFIX, "aligned": True}, "name it as `hr`"),
        ({"role": "pairs", "pairing": {"rule": "folders", "lr": "LR"}, "aligned": True}, "names both, `hr` and `lr`"),
        ({"role": "pairs", "pairing": FOLDERS | {"lr": "HR/LR"}, "aligned": True}, "must lie side by side"),
        ({"role": "pairs", "pairing": {"rule": "suffix", "hr": "", "lr": ""}, "aligned": True}, "must differ"),
        ({"hr": "DIV2K_valid"}, "`hr` is of a set of role pairs, not benchmark"),
        ({"scale": 2}, "`scale` is of a set of role pairs"),
        ({"only": "*.png", "files": {"a.png": {}}}, "`only` chooses among all images"),
    ],
)
def test_a_pairing_that_cannot_be_is_refused(fields: dict, says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        manifest(**{"role": "benchmark"} | fields)


def test_a_file_may_have_another_name_on_the_server() -> None:
    source = FilesSource(kind="files", url="https://example.org/x/", remote="{stem}_SRF_4_HR{suffix}")
    assert source.url_of("img_001.png") == "https://example.org/x/img_001_SRF_4_HR.png"


def test_how_to_get_names_the_host_the_help_and_the_root() -> None:
    files = {"kind": "files", "url": "https://example.org/x/"}
    listed = {"files": {"a.png": {}}}
    assert "downloads it from example.org" in manifest(**listed, sources=[files]).how_to_get
    assert manifest(**listed, sources=[files, {"kind": "user", "help": "ask the authors"}]).how_to_get == (
        "ask the authors, then set data.roots.Toy to its folder"
    )


OUTSIDE = [
    "../../../evil.png",
    "/etc/evil.png",
    "a/../../evil.png",
    "..\\evil.png",
    "C:/evil.png",
    "",
    "a//b",
    "a\nb",
]


@pytest.mark.parametrize("place", OUTSIDE)
def test_no_manifest_names_a_place_outside_of_its_folder(place: str) -> None:
    numbered = {"format": f"{place}/{{:04d}}.png", "first": 1, "last": 2}
    package = {"kind": "package", "folders": [place]}
    wanted = {"files": {"a.png": {}}, "sources": [package]}
    for settings in ({"files": {place: {}}}, {"numbered": numbered}, wanted):
        with pytest.raises(ValueError, match="leads out of its folder|is no usable path"):
            manifest(**settings)


@pytest.mark.parametrize(
    "numbered",
    [
        {"format": "{:02000000000d}.png", "first": 1, "last": 1},
        {"format": "{nope}.png", "first": 1, "last": 1},
        {"format": "{:04d}{:04d}.png", "first": 1, "last": 1},
        {"format": "{:04d}.png", "first": 1, "last": 10**10},
        {"format": "{:04d}.png", "first": 2, "last": 1},
    ],
)
def test_numbered_files_are_few_and_their_format_is_of_a_number(numbered: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="format|number"):
        manifest(numbered=numbered)


@pytest.mark.parametrize("remote", ["{nope}", "{stem:>9999999999}", "{stem.__class__}", ""])
def test_a_remote_name_is_made_of_stem_and_suffix(remote: str) -> None:
    files = {"kind": "files", "url": "https://example.org/x/", "remote": remote}
    with pytest.raises(ValueError, match="remote"):
        manifest(sources=[files], files={"a.png": {}})


@pytest.mark.parametrize(
    "source", [{"kind": "files", "url": "https://example.org/x/"}, {"kind": "package", "folders": ["skimage/data"]}]
)
def test_a_source_that_takes_files_by_name_has_names(source: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=f"{source['kind']} takes files by name"):
        manifest(sources=[source])
