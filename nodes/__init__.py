"""What an institution runs: the name under which Flower finds its app."""
