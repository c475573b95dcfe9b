"""The grammar of the .net language, ``netspec.lark``, and the parser's tables made of it."""
