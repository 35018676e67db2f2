"""Exercises of lesson 5, stochastic descent."""

from eosin.guide.exercises import Case, Choice, Code, Number

EXERCISES = (
    Number(
        question=(
            "**Exercise 1: count the steps.** 1,000 patches, batches of 64, 3 epochs. The last "
            "batch of an epoch takes what is left. How many steps is that?"
        ),
        expected=48,
        hint="How many full batches are in 1,000, and is anything left? Then times the epochs.",
        right=("48",),
        wrong=("45", "46.875", "47", "16", "3000"),
        near={
            45.0: "That leaves out the last, smaller batch of each epoch.",
            46.875: "A part of a batch is a step as well.",
            47.0: "Round up in each epoch, not once at the end.",
            16.0: "That is one epoch.",
            3000.0: "That would be with batches of 1.",
        },
        tolerance=1e-3,
        praise="15 full batches and one of 40 make 16 steps an epoch.",
    ),
    Code(
        question=(
            "**Exercise 2: cut an epoch into batches.** `batches(order, size)` gets the shuffled "
            "row numbers of one epoch and returns a list of lists: each of `size` numbers, in the "
            "given order, the last with what is left."
        ),
        starter="def batches(order, size):\n    parts = []\n    ...\n    return parts",
        cases=(
            Case("batches([2, 0, 3, 1], 2)", [[2, 0], [3, 1]], "two batches of two"),
            Case(
                "[len(b) for b in batches(list(range(10)), 4)]",
                [4, 4, 2],
                "ten rows in batches of four: the last two must not be lost",
            ),
            Case("batches([5, 4], 8)", [[5, 4]], "a batch larger than the data is all of the data"),
            Case(
                "sorted(sum(batches([3, 1, 2, 0, 4], 3), []))",
                [0, 1, 2, 3, 4],
                "every row is seen exactly once in an epoch",
            ),
        ),
        hint=(
            "range(0, len(order), size) gives the place where each batch starts; a slice of a list "
            "that reaches past the end stops at the end."
        ),
        right=(
            "def batches(order, size):\n"
            "    parts = []\n"
            "    for start in range(0, len(order), size):\n"
            "        parts.append(order[start : start + size])\n"
            "    return parts",
            "def batches(order, size):\n"
            "    return [list(order[k : k + size]) for k in range(0, len(order), size)]",
        ),
        wrong=(
            "def batches(order, size):\n"
            "    return [order[k : k + size] for k in range(0, len(order) - size + 1, size)]",
            "def batches(order, size):\n"
            "    order = sorted(order)\n"
            "    return [order[k : k + size] for k in range(0, len(order), size)]",
            "def batches(order, size):\n"
            "    return [order[k : k + size] for k in range(len(order))]",
        ),
        praise="Shuffle, cut, step: that is one epoch of every training run in this guide.",
    ),
    Choice(
        question=(
            "**Exercise 3: it hovers.** With batches of 8 and a fixed rate, the loss falls fast, "
            "then jumps up and down around a level above the best. What brings it closer to the "
            "bottom?"
        ),
        options={
            "Train on as before, longer": (
                "Near the bottom the noise of each batch kicks it out again as fast as the slope "
                "draws it in; with the same rate and batch that level stays."
            ),
            "Lower the rate toward the end": (
                "The kicks shrink with the rate. A high rate to travel, a low one to land."
            ),
            "Smaller batches": "The noise of the slope grows as the batch shrinks.",
            "Never shuffle": (
                "Then each epoch makes the same kicks in the same order; they do not get smaller."
            ),
        },
        right=("Lower the rate toward the end",),
        wrong=("Train on as before, longer", "Smaller batches", "Never shuffle"),
        hint="A step is rate times slope. Which of the two is noisy, and which do you control?",
    ),
)
