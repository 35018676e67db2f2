"""Exercises of lesson 15, transfer learning."""

from eosin.guide.exercises import Case, Choice, Code, Number

EXERCISES = (
    Number(
        question=(
            "**Exercise 1: how few?** The last layer gets 64 numbers (the mean of each feature map) and gives 2 "
            "scores. How many weights and biases are learned where only it is trained?"
        ),
        expected=130,
        hint="Each score has a weight for each of its inputs, and a bias.",
        right=("130",),
        wrong=("128", "66", "64"),
        near={
            128.0: "Each of the two scores has a bias as well.",
            66.0: "There are two scores, each with its own weights.",
        },
        tolerance=0.5,
        praise="The table above shows the same.",
    ),
    Choice(
        question=(
            "**Exercise 2: is this honest?** A base was trained on all 279 cases of an archive. You fine-tune it on "
            "200 of them, test on the other 79, and report the figure."
        ),
        options={
            "Yes: the 79 were not in the fine-tuning": (
                "They were in the base. Its filters have seen their patches and labels."
            ),
            "No: the base has seen the test cases": (
                "What the base has learned from counts as trained on. Test on cases that neither has "
                "seen, or take another base."
            ),
            "Yes, if only the last layer is trained": (
                "The filters below have learned from the test cases all the same."
            ),
        },
        right=("No: the base has seen the test cases",),
        wrong=(
            "Yes: the 79 were not in the fine-tuning",
            "Yes, if only the last layer is trained",
        ),
        hint="Follow one of the 79 cases through everything that was ever trained.",
    ),
    Code(
        question=(
            "**Exercise 3: what can be taken over?** `usable(base, mine)` gets two dictionaries, from the name of a "
            "layer to the shape of its weights. It returns the sorted names that both have *with the "
            "same shape*: only these weights can be copied."
        ),
        starter="def usable(base, mine):\n    ...",
        cases=(
            Case(
                "usable({'conv1': (8, 3, 3, 3)}, {'conv1': (8, 3, 3, 3)})",
                ["conv1"],
                "both have it",
            ),
            Case(
                "usable({'conv1': (8, 3, 3, 3), 'head': (2, 64)}, "
                "{'conv1': (8, 3, 3, 3), 'head': (5, 64)})",
                ["conv1"],
                "five classes instead of two: the last layer does not fit",
            ),
            Case(
                "usable({'a': (1,), 'b': (2,)}, {'b': (2,), 'c': (3,)})", ["b"], "only shared names"
            ),
            Case("usable({'b': (2,), 'a': (1,)}, {'b': (2,), 'a': (1,)})", ["a", "b"], "sorted"),
        ),
        hint="Go through the names of one; `name in other` and then compare the two shapes.",
        right=(
            "def usable(base, mine):\n"
            "    return sorted(n for n in mine if n in base and base[n] == mine[n])",
        ),
        wrong=(
            "def usable(base, mine):\n    return sorted(set(base) & set(mine))",
            "def usable(base, mine):\n    return sorted(n for n in mine if base[n] == mine[n])",
            "def usable(base, mine):\n"
            "    return [n for n in base if n in mine and base[n] == mine[n]]",
        ),
        praise="With other classes, the last layer starts again and the filters are kept.",
    ),
)
