"""What a study found, as one JSON record and as one HTML page made from it."""
