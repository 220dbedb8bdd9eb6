"""Train a teacher, a baseline or a student: `python train.py --help`."""

import sys

from yt8m_distill.cli.train import main

if __name__ == "__main__":
    sys.exit(main())
