"""Tests against torchvision, timm and Keras run where these are: ``make test-weights``.

They are not dependencies of netspec: together with what they need they take half a gigabyte.
"""

from importlib.util import find_spec

collect_ignore = [] if find_spec("torchvision") and find_spec("keras") else ["peers"]
