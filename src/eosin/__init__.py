"""eosin: from labeled histology patches to a classifier that can be defended.

Research and education only, not for diagnosis.
"""

__version__ = "0.1.0"
