"""Downloads partitions of YouTube-8M: `python download.py --help`."""

import sys

from yt8m_distill.cli.download import main

if __name__ == "__main__":
    sys.exit(main())
