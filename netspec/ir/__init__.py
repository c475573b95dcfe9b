"""The net as data: the graph that a spec is read into and that passes rewrite."""
