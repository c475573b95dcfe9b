"""What is shown of a net: tables, data, references."""
