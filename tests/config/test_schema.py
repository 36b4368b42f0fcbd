"""The blocks of the settings, on their own: what the whole of params.yaml refuses is in test_params."""

import pytest
from pydantic import ValidationError

from blindsr.config.schema import DegradationParams


def test_a_degradation_is_a_name_and_what_its_build_takes() -> None:
    block = DegradationParams.model_validate({"name": "bsrgan", "settings": {"jpeg_quality": [30, 95]}})
    assert (block.name, block.settings) == ("bsrgan", {"jpeg_quality": [30, 95]})
    assert DegradationParams(name="bsrgan").settings == {}


@pytest.mark.parametrize("wrong", [{}, {"name": "second-order"}, {"name": "a", "settings": 3}, {"name": "a", "b": 1}])
def test_anything_else_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        DegradationParams.model_validate(wrong)


def test_blocks_are_immutable() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        DegradationParams(name="bsrgan").name = "second_order"
