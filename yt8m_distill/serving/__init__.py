"""What leaves the package: submission CSVs, model archives, SavedModel and LiteRT export."""
