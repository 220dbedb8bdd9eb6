"""Write a submission file: `python inference.py --help`."""

import sys

from yt8m_distill.cli.inference import main

if __name__ == "__main__":
    sys.exit(main())
