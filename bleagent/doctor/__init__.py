"""``bleagent doctor``: what is looked at (``..._look``), and what it means and what mends it."""
