"""Convert predictions in JSON lines to a submission CSV: `python convert_prediction_from_json_to_csv.py --help`."""

import sys

from yt8m_distill.cli.convert_prediction_from_json_to_csv import main

if __name__ == "__main__":
    sys.exit(main())
