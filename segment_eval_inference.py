"""Score a segment submission against rated segments: `python segment_eval_inference.py --help`."""

import sys

from yt8m_distill.cli.segment_eval_inference import main

if __name__ == "__main__":
    sys.exit(main())
