"""Views of a net: tables, data, references."""
