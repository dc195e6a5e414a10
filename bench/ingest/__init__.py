"""The rows about taking in what discovery has seen: from RabbitMQ to rows of the inventory in PostgreSQL."""
