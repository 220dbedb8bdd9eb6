"""Export a trained model for serving: `python export_model.py --help`."""

import sys

from yt8m_distill.cli.export_model import main

if __name__ == "__main__":
    sys.exit(main())
