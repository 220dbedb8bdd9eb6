"""Commands: flags in, one library call, messages out. One module a command."""

import os

# TensorFlow writes its notes on CPU features over the commands' own messages otherwise.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
