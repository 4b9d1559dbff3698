"""``bleagent init``: a configuration and its secrets, from a few answers.

Nothing is written before everything is known and checked; what is there already is kept.
"""
