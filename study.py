"""Every run of a declared grid, and the report on them: `python study.py --help`."""

import sys

from yt8m_distill.cli.study import main

if __name__ == "__main__":
    sys.exit(main())
