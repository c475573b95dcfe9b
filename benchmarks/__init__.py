"""One command each; what they measured is kept in results/ with the machine it was measured on."""
