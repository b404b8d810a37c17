"""The services that run beside the product on one machine: PostgreSQL, Kafka and Temporal, without Docker or root."""
