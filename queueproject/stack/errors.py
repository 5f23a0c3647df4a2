class StackError(Exception):
    """Why the stack can't start or go on, in a sentence for its user."""
