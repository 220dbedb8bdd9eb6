"""Speed and memory of the package, measured side by side with the original's ways: `python benchmarks/run.py`."""
