"""Keeping mail until it is settled: jobs, retries, bounces. Sees delivery as one callable."""
