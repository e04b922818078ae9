"""Wrong labels: how far features leave their class to memorise them (memorisation-dilation)."""
