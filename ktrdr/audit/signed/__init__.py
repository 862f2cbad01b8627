"""What the log's key signs: checkpoints and proofs, the copies kept elsewhere, and witnesses. Imports the store."""
