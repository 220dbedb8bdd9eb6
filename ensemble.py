"""Evaluate, submit or export several models as one: `python ensemble.py --help`."""

import sys

from yt8m_distill.cli.ensemble import main

if __name__ == "__main__":
    sys.exit(main())
