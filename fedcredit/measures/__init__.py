"""The institution side: a question and a table make a bounded sum."""
