"""The operations of training as one would first write them, with the semantics of the public code.

They are the other half of every ratio, and the reference of the equality checks; nothing else uses them.
"""
