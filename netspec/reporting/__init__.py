"""``netspec report``: a run or a net as one HTML page that can be sent by mail.

``netspec.report(subject)`` does what ``netspec report`` does.  Each section of the page is a module
of :mod:`netspec.reporting.sections`.
"""
