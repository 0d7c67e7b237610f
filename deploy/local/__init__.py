"""The whole platform on one machine: PostgreSQL, Kafka or the embedded log, and our processes under a supervisor."""
