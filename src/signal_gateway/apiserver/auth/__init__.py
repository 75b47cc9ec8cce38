"""Authentication and authorization by two tables: tokens and rules."""
