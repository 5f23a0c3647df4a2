"""The offline storyteller: it reads a deed, works out what changes, and tells it. Pure, and the same each time."""
