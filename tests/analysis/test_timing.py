import pytest

from tests.training.tiny_runs import FRAMES, write_shards
from yt8m_distill.analysis import timing
from yt8m_distill.data import list_record_files
from yt8m_distill.models import create_model


class Clock:
    """Tells 0, then after each pass what is in `seconds`."""

    def __init__(self, *seconds):
        self.times = iter([time for one in seconds for time in (0.0, one)])

    def perf_counter(self):
        return next(self.times)


@pytest.mark.parametrize("batch_size, max_videos, num_videos", [(8, 1024, 20), (8, 9, 16), (32, 5, 20)])
def test_the_best_pass_after_the_first_counts(tmp_path, monkeypatch, batch_size, max_videos, num_videos):
    pattern = write_shards(tmp_path, FRAMES, count=20)
    model = create_model(
        "FrameLevelLogisticModel",
        feature_names=FRAMES.feature_names,
        feature_sizes=FRAMES.feature_sizes,
        num_classes=FRAMES.num_classes,
        max_frames=FRAMES.max_frames,
        num_sampled_frames=2,
    )
    monkeypatch.setattr(timing, "time", Clock(0.5, 4.0, 2.0, 3.0))
    seconds = timing.seconds_per_1000_videos(model, list_record_files(pattern), batch_size, max_videos)
    assert seconds == pytest.approx(1000 * 2.0 / num_videos)
