"""A stand-in for the model vendors that speaks their APIs and logs what it served.

It imports nothing of the project's other packages, so a gateway can be judged against it.
"""
