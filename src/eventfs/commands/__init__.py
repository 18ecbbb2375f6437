"""The commands: eventfs mounts."""
