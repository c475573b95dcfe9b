"""The grammar of the .net language, ``netspec.lark``, as package data."""
