"""Models by name and in lists."""

from pathlib import Path

import pytest

from blindsr.apps.leaderboard import entries
from blindsr.apps.leaderboard.entries import Entry
from blindsr.runtime.errors import UserError


def test_models_are_called_by_their_names(tmp_path: Path) -> None:
    assert entries.read(["bicubic", "nets/mine.v2.pth", "srresnet-rff-0", "bicubic"]) == [
        Entry("bicubic", "bicubic"),
        Entry("nets/mine.v2.pth", "mine.v2"),
        Entry("srresnet-rff-0", "srresnet-rff-0"),
    ]


def test_a_list_gives_titles_and_links_and_names_files_beside_it(tmp_path: Path) -> None:
    (tmp_path / "net.pth").touch()
    (tmp_path / "list.yaml").write_text(
        "- lanczos\n- model: net.pth\n  title: My  net\n  link: https://example.org/net\n- model: elsewhere.pth\n"
    )
    assert entries.read([str(tmp_path / "list.yaml"), "bilinear"]) == [
        Entry("lanczos", "lanczos"),
        Entry(str(tmp_path / "net.pth"), "My net", "https://example.org/net", named=True),
        Entry("elsewhere.pth", "elsewhere"),
        Entry("bilinear", "bilinear"),
    ]


@pytest.mark.parametrize(
    ("models", "titles"),
    [
        ("a/x.pth b/x.pth c/y.pth", "a/x b/x y"),
        ("a/x.pth a/x.pth", "x"),
        ("1/a/x.pth 2/a/x.pth 2/b/x.pth", "1/a/x 2/a/x b/x"),
        ("x.pth a/x.pth", "x a/x"),
        ("/x.pth /a/x.pth", "x a/x"),
        ("bicubic nets/bicubic.pth", "bicubic nets/bicubic"),
    ],
)
def test_files_of_one_name_are_told_apart_by_their_folders(models: str, titles: str) -> None:
    assert [entry.title for entry in entries.read(models.split())] == titles.split()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("models: [bicubic]", "list.yaml is no list of models"),
        ("- model: [", "list.yaml is not YAML"),
        ("- titel: x\n  model: y", "list.yaml: model 1: titel: Extra inputs"),
        ("- title: x", "list.yaml: model 1: model: Field required"),
        ("- bicubic\n- model: x\n  link: file:///etc/passwd", "list.yaml: model 2: link: String should match"),
        (
            "- {model: a/x.pth, title: X}\n- {model: b/x.pth, title: X}",
            "a/x.pth and b/x.pth are both called X: give them titles",
        ),
        ("- x.pth\n- x.pt", "x.pth and x.pt are both called x: give them titles"),
        ("[]", "name a model"),
    ],
)
def test_a_wrong_list_is_one_line(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "list.yaml").write_text(text)
    with pytest.raises(UserError) as error:
        entries.read([str(tmp_path / "list.yaml")])
    assert says in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_a_list_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="absent.yaml cannot be read: No such file or directory"):
        entries.read([str(tmp_path / "absent.yaml")])
