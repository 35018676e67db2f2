"""Exercises of lesson 1, perceptron and decision."""

from eosin.guide.exercises import Case, Code, Number

EXERCISES = (
    Code(
        question=(
            "**Exercise 1: decide.** Write `decide(x, w, b)`: it returns 1 where $w \\cdot x + b$ "
            "is above 0, and else 0. `x` and `w` are lists of the same length, which may be any."
        ),
        starter="def decide(x, w, b):\n    ...",
        cases=(
            Case("decide([1, 0, 1], [2, 2, 3], -4.5)", 1, "2 + 3 is more than 4.5"),
            Case("decide([1, 1, 0], [2, 2, 3], -4.5)", 0, "2 + 2 is less than 4.5"),
            Case("decide([0, 0], [5, 5], 1)", 1, "the bias alone can be enough"),
            Case("decide([1], [2], -2)", 0, "evidence of exactly 0 is not above 0"),
            Case("decide([1, 1, 1, 1], [1, 1, 1, -4], 0.5)", 0, "a weight may be negative"),
        ),
        hint="Add up weight times input over all inputs, then the bias; compare the sum with 0.",
        right=(
            "def decide(x, w, b):\n"
            "    total = b\n"
            "    for each, weight in zip(x, w):\n"
            "        total += weight * each\n"
            "    return 1 if total > 0 else 0",
            "def decide(x, w, b):\n    return int(np.dot(x, w) + b > 0)",
            "decide = lambda x, w, b: sum(a * c for a, c in zip(x, w)) + b > 0",
        ),
        wrong=(
            "def decide(x, w, b):\n    return int(np.dot(x, w) > 0)",
            "def decide(x, w, b):\n    return int(np.dot(x, w) + b >= 0)",
            "def decide(x, w, b):\n    return np.dot(x, w) + b",
            "def decide(x, w, b):\n    return int(np.dot(x, w) > b)",
            "def decide(x, w, b):\n    print(np.dot(x, w) + b > 0)",
            "def decide(x, w, b):\n    return int(x[0] * w[0] + x[1] * w[1] + b > 0)",
            "def decide(x, w, b)\n    return 1",
        ),
        praise="That is a whole neuron; a network is many of these.",
    ),
    Number(
        question=(
            "**Exercise 2: one mistake.** A perceptron has $w = (0, 1)$ and $b = -1$. It is shown "
            "$x = (1, 1)$, and the right answer is 1. What is its **evidence** $w \\cdot x + b$ "
            "for the same $x$ *after* the rule has been applied once?"
        ),
        expected=3.0,
        hint=(
            "First decide with the old weights: is 0 above 0? Then add (y - decided) times each "
            "input to its weight, and (y - decided) to the bias; the bias changes as well."
        ),
        right=("3", "3.0", "6/2"),
        wrong=("0", "2", "1", "-3", "three", ""),
        near={
            0.0: "That is the evidence before the rule: not above 0, so the answer was no.",
            1.0: "Only the bias has learned there. Both inputs were on: what happens to the weights?",
            2.0: "Did the bias learn too?",
            -3.0: "The rule steps toward the right answer: which sign has y - decided?",
        },
        praise=(
            "Both weights and the bias grew by 1: (1, 2) and 0. One correction lifted the evidence "
            "from 0 to 3."
        ),
    ),
    Code(
        question=(
            "**Exercise 3: XOR from layers.** `fires(x1, x2, w1, w2, b)` is a perceptron; it is "
            "there already. Write `xor(x1, x2)` with *several* of them, without `==`, `!=`, `^` or "
            "`if`: give the answers of two perceptrons to a third."
        ),
        starter=(
            "def xor(x1, x2):\n"
            "    at_least_one = fires(x1, x2, ..., ..., ...)\n"
            "    not_both = fires(x1, x2, ..., ..., ...)\n"
            "    return fires(at_least_one, not_both, ..., ..., ...)"
        ),
        setup=(
            "asked = []\n"
            "def fires(x1, x2, w1, w2, b):\n"
            "    asked.append((w1, w2, b))\n"
            "    return int(w1 * x1 + w2 * x2 + b > 0)"
        ),
        cases=(
            Case("xor(0, 0)", 0, "neither is 1"),
            Case("xor(0, 1)", 1, "exactly one is 1"),
            Case("xor(1, 0)", 1, "exactly one is 1"),
            Case("xor(1, 1)", 0, "both are 1"),
            Case("len(asked) >= 8", True, "use two perceptrons or more for each answer"),
        ),
        hint=(
            "You found weights for OR, NAND and AND with the sliders. OR: one input must be enough "
            "to pass 0. NAND: a positive bias that only both inputs together can pull below 0."
        ),
        right=(
            "def xor(x1, x2):\n"
            "    at_least_one = fires(x1, x2, 1, 1, -0.5)\n"
            "    not_both = fires(x1, x2, -1, -1, 1.5)\n"
            "    return fires(at_least_one, not_both, 1, 1, -1.5)",
            "def xor(x1, x2):\n"
            "    a = fires(x1, x2, -2, -2, 3)\n"
            "    b = fires(x1, a, -2, -2, 3)\n"
            "    c = fires(a, x2, -2, -2, 3)\n"
            "    return fires(b, c, -2, -2, 3)",
        ),
        wrong=(
            "def xor(x1, x2):\n    return fires(x1, x2, 1, 1, -0.5)",
            "def xor(x1, x2):\n    return int(x1 != x2)",
            "def xor(x1, x2):\n"
            "    at_least_one = fires(x1, x2, 1, 1, -0.5)\n"
            "    not_both = fires(x1, x2, -1, -1, 0.5)\n"
            "    return fires(at_least_one, not_both, 1, 1, -1.5)",
            "def xor(x1, x2):\n"
            "    at_least_one = fires(x1, x2, ..., ..., ...)\n"
            "    return at_least_one",
        ),
        praise="Three perceptrons in two layers answer what no single one can.",
    ),
)
