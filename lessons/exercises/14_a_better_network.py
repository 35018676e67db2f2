"""Exercises of lesson 14, a better network in two minutes."""

from eosin.guide.exercises import Case, Code, Number

EXERCISES = (
    Number(
        question=(
            "**Exercise 1: count the savings.** The article's network flattens 256 maps of 4 by 4 into 4,096 "
            "numbers and connects them fully to 1,024 neurons. How many weights is that, biases not "
            "counted?"
        ),
        expected=4194304,
        hint="Each of the 1,024 neurons has a weight for each of its inputs.",
        right=("4194304",),
        wrong=("5091457", "262144", "5120", "4195328"),
        near={
            5091457.0: "That is the whole network.",
            262144.0: "That would be after the mean of each map: 256 inputs.",
            4195328.0: "Without the biases.",
        },
        tolerance=0.5,
        praise="Four of its five million. After a mean of each map it would be 256 x 1,024.",
    ),
    Code(
        question=(
            "**Exercise 2: eight views.** `views(patch)` gets a NumPy array `[H, W]` with H = W and returns a list "
            "of its eight views: the four turns of the patch and the four turns of its mirror image, "
            "in any order."
        ),
        starter="def views(patch):\n    ...",
        setup="import numpy as np\ncorner = np.array([[1, 2], [3, 4]])\nflat = np.ones((3, 3))",
        cases=(
            Case("len(views(corner))", 8, "eight of them"),
            Case(
                "sorted([int(v[0, 0]), int(v[0, 1])] for v in views(corner))",
                [[1, 2], [1, 3], [2, 1], [2, 4], [3, 1], [3, 4], [4, 2], [4, 3]],
                "each corner comes to the top left, with either neighbor beside it",
            ),
            Case("views(flat)[5].shape", [3, 3], "a view has the shape of the patch"),
        ),
        hint="`np.rot90(patch, k)` turns k times by 90 degrees; `patch[:, ::-1]` mirrors.",
        right=(
            "def views(patch):\n"
            "    return [np.rot90(p, k) for p in (patch, patch[:, ::-1]) for k in range(4)]",
        ),
        wrong=(
            "def views(patch):\n    return [np.rot90(patch, k) for k in range(4)]",
            "def views(patch):\n    return [np.rot90(patch, k) for k in range(8)]",
            "def views(patch):\n"
            "    return [p for p in (patch, patch[::-1], patch[:, ::-1], patch.T) for _ in range(2)]",
        ),
        praise="Eight times the patches, at no cost but arithmetic.",
    ),
    Code(
        question=(
            "**Exercise 3: a running average.** `averaged(values, decay)` returns the running mean after each step: "
            "it begins with the first value, and each further value changes it to `decay * mean + "
            "(1 - decay) * value`."
        ),
        starter="def averaged(values, decay):\n    means = []\n    ...\n    return means",
        cases=(
            Case("averaged([4.0], 0.9)", [4.0], "the first value is the first mean"),
            Case("averaged([0.0, 1.0, 1.0], 0.5)", [0.0, 0.5, 0.75], "half old, half new"),
            Case("averaged([0.0, 10.0], 0.9)", [0.0, 1.0], "a high decay forgets slowly"),
            Case("averaged([2.0, 5.0, 3.0], 0.0)", [2.0, 5.0, 3.0], "decay 0 remembers nothing"),
        ),
        hint="Keep the mean in a variable; before the loop it is values[0].",
        right=(
            "def averaged(values, decay):\n"
            "    means = [values[0]]\n"
            "    for value in values[1:]:\n"
            "        means.append(decay * means[-1] + (1 - decay) * value)\n"
            "    return means",
        ),
        wrong=(
            "def averaged(values, decay):\n"
            "    means = [0.0]\n"
            "    for value in values:\n"
            "        means.append(decay * means[-1] + (1 - decay) * value)\n"
            "    return means[1:]",
            "def averaged(values, decay):\n"
            "    means = [values[0]]\n"
            "    for value in values[1:]:\n"
            "        means.append((1 - decay) * means[-1] + decay * value)\n"
            "    return means",
        ),
        praise="Put weights in place of values, and that is what `average_decay = 0.99` does.",
    ),
)
