"""Make frame-level records of real video-level ones: `python synthetic.py --help`."""

import sys

from yt8m_distill.cli.synthetic import main

if __name__ == "__main__":
    sys.exit(main())
