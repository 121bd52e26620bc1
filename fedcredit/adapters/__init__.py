"""The adapters: with the command line and serving, the only rooms with I/O."""
