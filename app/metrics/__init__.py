"""Metrics for Prometheus: what is counted where requests are served, and what is looked up at a scrape."""
