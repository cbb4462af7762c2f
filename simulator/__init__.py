"""A stand-in model vendor that speaks OpenAI Chat Completions and logs what it served.

It imports nothing of the project's other packages, so a gateway can be judged against it.
"""
