"""What one video costs each model and frame budget: `python cost.py --help`."""

import sys

from yt8m_distill.cli.cost import main

if __name__ == "__main__":
    sys.exit(main())
