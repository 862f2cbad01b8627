"""Folding the whole log from zero, and looking at everything that has to agree with it. Imports jobs and the store."""
