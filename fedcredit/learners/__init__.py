"""The coordinator side: a learner is a short program of private sums."""
