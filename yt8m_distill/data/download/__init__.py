"""Downloading the dataset: plan, files, retries, room on the disk, what has been verified."""
