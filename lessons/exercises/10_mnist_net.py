"""Exercises of lesson 10, the MNIST network."""

from eosin.guide.exercises import Case, Choice, Code, Number

EXERCISES = (
    Number(
        question=(
            "**Exercise 1: count it by hand.** How many weights and biases has a convolution with 5 by 5 kernels "
            "that turns 32 maps into 64?"
        ),
        expected=51264,
        hint=(
            "Each of the 64 kernels looks through its window at all 32 maps at once, and has one bias."
        ),
        right=("51264",),
        wrong=("51200", "1664", "1600", "53248"),
        near={
            51200.0: "The biases are missing: one for each new map.",
            1664.0: "Each kernel sees all 32 maps, not one.",
            1600.0: "Each kernel sees all 32 maps, and each has a bias.",
            53248.0: "One bias a kernel, not one a kernel and map.",
        },
        tolerance=0.5,
        praise="64 x (32 x 25 + 1).",
    ),
    Choice(
        question=(
            "**Exercise 2: why so slow?** The tutorial's settings read 93 % of MNIST after ten epochs, and almost "
            "nothing of these 1,000 training digits. What is the reason?"
        ),
        options={
            "The network is too small": "The same network reads almost all of them with another schedule.",
            "Too few steps at too low a rate": (
                "9,380 steps there, fewer than 200 here, each as tiny: the weights have hardly moved."
            ),
            "The digits are too blurred": "The recipe `digits` reads the same images.",
            "It overfits": (
                "Then it would be good on the training digits at least; its training loss is high too."
            ),
        },
        right=("Too few steps at too low a rate",),
        wrong=("The network is too small", "The digits are too blurred", "It overfits"),
        hint="What differed between the two trainings, and what did not?",
    ),
    Code(
        question=(
            "**Exercise 3: from scores to a figure.** `accuracy(scores, labels)` gets scores `[N, 10]` and labels "
            "`[N]` (both NumPy arrays) and returns the share of rows whose largest score is in the "
            "column of the label."
        ),
        starter="def accuracy(scores, labels):\n    ...",
        setup="import numpy as np\neye = np.eye(10)",
        cases=(
            Case("accuracy(eye, np.arange(10))", 1.0, "each label has the largest score"),
            Case(
                "accuracy(eye[[3, 3, 5, 7]], np.array([3, 1, 5, 5]))", 0.5, "two of four are right"
            ),
            Case(
                "accuracy(-5 * eye[[0, 1]] - 1, np.array([0, 1]))",
                0.0,
                "scores may be negative; the largest counts",
            ),
        ),
        hint="`scores.argmax(axis=1)` gives, for each row, the column of its largest score.",
        right=(
            "def accuracy(scores, labels):\n    return (scores.argmax(axis=1) == labels).mean()",
        ),
        wrong=(
            "def accuracy(scores, labels):\n    return (scores.argmax(axis=0) == labels).mean()",
            "def accuracy(scores, labels):\n    return (scores.argmax(axis=1) == labels).sum()",
            "def accuracy(scores, labels):\n"
            "    return (abs(scores).argmax(axis=1) == labels).mean()",
        ),
        praise="Along the wrong axis, with one column, this line becomes the second fault of lesson 12.",
    ),
)
