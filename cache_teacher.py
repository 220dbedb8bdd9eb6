"""Keep what a teacher says of every video: `python cache_teacher.py --help`."""

import sys

from yt8m_distill.cli.cache_teacher import main

if __name__ == "__main__":
    sys.exit(main())
