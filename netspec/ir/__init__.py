"""The net as data: what a spec is read into and passes rewrite."""
