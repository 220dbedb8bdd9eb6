"""Pictures of the frames that selectors and a trained model read: `python frames.py --help`."""

import sys

from yt8m_distill.cli.frames import main

if __name__ == "__main__":
    sys.exit(main())
