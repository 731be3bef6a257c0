"""Runs, results, tables and the report page."""
