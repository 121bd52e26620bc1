"""What a coordinator runs: the name under which Flower finds its app."""
