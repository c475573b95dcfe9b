"""The front end: text to syntax tree to graph, with diagnostics.  Never imports torch."""
