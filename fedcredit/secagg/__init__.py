"""Secure aggregation: the coordinator learns the sum of the members' integers, nothing else."""
