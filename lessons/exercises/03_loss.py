"""Exercises of lesson 3, loss."""

import math

from eosin.guide.exercises import Case, Choice, Code, Number

EXERCISES = (
    Choice(
        question=(
            "**Exercise 1: standing on a tread.** A network has 400 of 569 right. You change one "
            "weight by 0.0001 and still have 400 right. What does that tell you?"
        ),
        options={
            "the change was in the wrong direction": (
                "A change in the right direction would most likely have shown 400 as well."
            ),
            "the weight does not matter": (
                "Every answer may have moved a little; none has crossed the boundary, that is all."
            ),
            "nothing about the direction": (
                "Between two jumps the count is flat: better and worse look the same."
            ),
            "the network is at its best": ("The count is flat at good places and at bad ones."),
        },
        right=("nothing about the direction",),
        wrong=(
            "the change was in the wrong direction",
            "the weight does not matter",
            "the network is at its best",
        ),
        hint="Magnify the staircase above. What do you see if you move a little, either way?",
    ),
    Code(
        question=(
            "**Exercise 2: surprise.** Write `surprise(y, p)`: the mean cross-entropy of "
            "probabilities `p` for truths `y` (0 or 1), both NumPy arrays of the same length. "
            "`np.log` is the natural logarithm."
        ),
        starter="def surprise(y, p):\n    ...",
        cases=(
            Case(
                "surprise(np.array([1]), np.array([0.5]))",
                0.6931471805599453,
                "a coin's answer costs log 2",
            ),
            Case(
                "surprise(np.array([0]), np.array([0.9]))",
                2.302585092994046,
                "it gave the truth, which is 0, a probability of 0.1",
            ),
            Case(
                "surprise(np.array([1, 0, 1, 0]), np.array([0.9, 0.2, 0.6, 0.01]))",
                -math.log(0.9 * 0.8 * 0.6 * 0.99) / 4,
                "four examples, averaged",
            ),
        ),
        hint=(
            "What probability did the network give to what was true? It is p where y is 1; what is "
            "it where y is 0?"
        ),
        right=(
            "def surprise(y, p):\n    return -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))",
            "def surprise(y, p):\n    return np.mean(-np.log(np.where(y == 1, p, 1 - p)))",
        ),
        wrong=(
            "def surprise(y, p):\n    return -np.mean(y * np.log(p))",
            "def surprise(y, p):\n    return np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))",
            "def surprise(y, p):\n    return -np.sum(y * np.log(p) + (1 - y) * np.log(1 - p))",
            "def surprise(y, p):\n    return np.mean((y - p) ** 2)",
            "def surprise(y, p):\n    return -np.log(np.where(y == 1, p, 1 - p))",
            "def surprise(y, p):\n    return -mean(y * np.log(p))",
        ),
        praise="Written from logits instead of p, it also survives probabilities of exactly 0.",
    ),
    Number(
        question=(
            "**Exercise 3: a run without progress.** A network is trained to tell several kinds of "
            "tissue apart. Its loss is 1.386 at the start and still 1.386 after an hour. How many "
            "kinds of tissue are there?"
        ),
        expected=4.0,
        hint=(
            "A reader who has seen nothing takes every kind as equally likely. The loss is the log of "
            "their number: which function undoes a natural logarithm?"
        ),
        right=("4", "4.0", "3.999"),
        wrong=("1.386", "2", "0.25", "24.3", ""),
        tolerance=0.01,
        near={
            1.386: "That is the loss itself.",
            2.0: "Two kinds would stay at 0.693.",
            0.25: "That is the probability that each kind gets.",
            24.3: "Is the logarithm natural, or to the base of 10?",
        },
        praise="It answers the same for every image: it has not looked. Lesson 12 finds out why.",
    ),
)
