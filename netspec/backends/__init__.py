"""The backends: code that runs plans on one kind of device, or writes another format."""
