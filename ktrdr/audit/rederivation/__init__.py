"""Training a job again from the log alone, and comparing. Imports jobs, the store and training."""
