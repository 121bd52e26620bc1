"""Released public state as frozen values, and the questions that are asked of the tables."""
