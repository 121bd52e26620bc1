"""The consortium's data contract, and how a table becomes public cells under it."""
