"""Clicks on a real PostgreSQL, and on Apache Kafka."""
