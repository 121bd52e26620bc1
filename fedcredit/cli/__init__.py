"""The command line: it reads bytes, calls one function, and prints what came of it."""
