"""The bundled specs, one ``.net`` file a network, as package data."""
