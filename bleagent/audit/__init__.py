"""Who did what, in rows that nobody changes unseen (reference: safety H3)."""
