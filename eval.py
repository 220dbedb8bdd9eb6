"""Evaluate the checkpoints of a training run: `python eval.py --help`."""

import sys

from yt8m_distill.cli.eval import main

if __name__ == "__main__":
    sys.exit(main())
