"""The federation: a plan, institutions that answer, a coordinator that adds up, and the loop."""
