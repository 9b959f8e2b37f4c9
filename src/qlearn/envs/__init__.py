"""The world: environments written once as plain functions, and what runs them."""
