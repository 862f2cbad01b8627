"""One module per section of a strategy file: the table of its keys, and what they add up to."""
