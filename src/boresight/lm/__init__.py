"""Language models: what every method is given."""
