"""Predictions as rows: event schema, wire formats, the Parquet event log and outcome ingestion."""
