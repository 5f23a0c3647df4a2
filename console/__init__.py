"""A terminal client for one game, by HTTP and server-sent events only: it also plays on a server far away."""
