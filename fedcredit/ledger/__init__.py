"""The ledger: what an institution writes down before anything leaves it, for strangers to check."""
