"""Which values of a frame a text names."""

import pytest

from yt8m_distill.models.leading_values import columns_of, leading_values

NAMES, SIZES = ("rgb", "audio"), (4, 2)


@pytest.mark.parametrize(
    "text, named, columns",
    [
        ("rgb:2", {"rgb": 2}, [0, 1]),
        ("audio", {"audio": 2}, [4, 5]),
        ("audio:1, rgb:1", {"audio": 1, "rgb": 1}, [0, 4]),
        ("rgb,audio", {"rgb": 4, "audio": 2}, [0, 1, 2, 3, 4, 5]),
    ],
)
def test_names_values_and_their_columns(text, named, columns):
    assert leading_values(text, NAMES, SIZES, "flag") == named
    assert columns_of(named, NAMES, SIZES) == columns


@pytest.mark.parametrize(
    "text, message",
    [
        ("sound", "inputs must name features: rgb, audio. Received: 'sound'"),
        ("", "must name features"),
        ("rgb:5", "inputs: feature 'rgb' has 1 to 4 values to name. Received: 'rgb:5'"),
        ("rgb:0", "1 to 4 values"),
        ("rgb:-1", "1 to 4 values"),
        ("rgb:two", "1 to 4 values"),
    ],
)
def test_says_what_is_wrong(text, message):
    with pytest.raises(ValueError, match=message):
        leading_values(text, NAMES, SIZES, "inputs")
