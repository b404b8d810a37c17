"""The licensing backend over PostgreSQL: the authority over inventory, generations, claims, quotas and measures."""
