"""The guide: finds lessons, checks exercises, shows a lesson in browser, text or Jupyter."""
