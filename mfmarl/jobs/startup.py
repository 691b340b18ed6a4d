"""Imported first by a script: while everything else is imported, Ctrl-C ends it at once, without a traceback.

`mfmarl.scripting.options.main` takes over from here. Where SIGINT is ignored, as in the background, it stays so.
"""

import signal

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
