"""What is wrong with TFRecord files, and the flags that fit them: `python doctor.py --help`."""

import sys

from yt8m_distill.cli.doctor import main

if __name__ == "__main__":
    sys.exit(main())
