"""The runtime against real PostgreSQL and real Kafka."""
