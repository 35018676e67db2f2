"""Hostile inputs for benchmarks/fuzz.py: valid files made by eosin itself, and ways to damage them.

``damage`` changes bytes, values and text of any format; ``pictures``, ``archives``, ``arrays``,
``tables`` and ``networks`` know the structure of theirs; ``material`` makes the valid files once;
``kinds`` says which command reads which kind of input.
"""
