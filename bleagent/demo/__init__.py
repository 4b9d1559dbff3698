"""``bleagent demo``: the main job, played on a virtual lock and a virtual cloud."""
