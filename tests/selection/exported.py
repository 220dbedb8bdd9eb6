"""What the SavedModel of a model that chooses its frames must do."""

import numpy as np
import tensorflow as tf

from tests.records import make_videos, write_videos
from tests.training.tiny_runs import save_model
from yt8m_distill.models import load_model
from yt8m_distill.serving import export_saved_model


def check_export(model, folder, num_frames):
    """Saved, loaded, exported and run on records, it reads the same frames and predicts the same.

    Args:
      model: of 3 classes.
      folder: for the files.
      num_frames: of videos, as of `make_videos`.
    """
    schema = model.schema
    videos = make_videos(schema, 12, num_frames=num_frames)
    save_model(folder / "run", model)
    export_saved_model(load_model(str(folder / "run")), str(folder / "export"), top_k=3)

    write_videos(folder, videos, schema)
    (path,) = folder.glob("*.tfrecord")
    records = [record.numpy() for record in tf.data.TFRecordDataset(str(path))]
    served = tf.saved_model.load(str(folder / "export")).signatures["serving_default"](tf.constant(records))

    frames = np.zeros((12, schema.max_frames, schema.feature_width), np.uint8)
    for row, video in enumerate(videos):
        frames[row, : len(video.frames)] = video.frames
    inputs = {"frames": tf.constant(frames), "num_frames": tf.constant([len(v.frames) for v in videos], tf.int32)}
    expected = model.encode_and_classify(inputs)
    np.testing.assert_array_equal(served["frame_indices"], expected["frame_indices"])
    np.testing.assert_array_equal(served["num_frames"], expected["num_frames"])
    top = tf.math.top_k(expected["predictions"], k=3)
    np.testing.assert_array_equal(served["class_indexes"], top.indices)
    np.testing.assert_allclose(served["predictions"], top.values, rtol=1e-6)
