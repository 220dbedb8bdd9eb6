"""See-very-little video classification on YouTube-8M.

A teacher network sees every frame of a video. A student sees k of them, costs a fraction of the computation,
and is trained to produce the same encoding and the same class probabilities as the teacher (Bhardwaj,
Srinivasan and Khapra, "Efficient Video Classification Using Fewer Frames", CVPR 2019). Around it stands the
complete YouTube-8M workflow: train, evaluate, write a submission, export.

Importing the package checks, without importing tensorflow, that the installed tensorflow and Keras belong
together, and raises ImportError with the command that mends them if they do not (see `yt8m_distill.stack`).
"""

from yt8m_distill.stack import require_stack

__version__ = "0.1.0"

require_stack()
