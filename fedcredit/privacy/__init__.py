"""Private sums: the one thing that leaves an institution, its noise, its cost and its budget."""
