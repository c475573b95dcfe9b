from tests.kernels.interpreter import remember_builtins

remember_builtins()
