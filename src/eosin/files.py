"""The earlier name of ``folders.whole_file``, until every caller uses the new one."""

from eosin.folders import whole_file as whole

__all__ = ["whole"]
