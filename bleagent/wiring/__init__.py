"""The composition root's parts: ``app.py`` puts these together, and they put together the rest."""
