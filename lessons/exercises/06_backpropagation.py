"""Exercises of lesson 6, backpropagation."""

from eosin.guide.exercises import Case, Choice, Code, Number

EXERCISES = (
    Code(
        question=(
            "**Exercise 1: write BP2.** `hidden_error(next_weights, next_error, slope)` for one "
            "example: `next_weights` has a row for each neuron of the next layer and a column for "
            "each neuron of this one, `[next, here]`; `next_error` is `[next]`; `slope` holds "
            "$f'(z)$ of this layer, `[here]`. Return this layer's error, `[here]`."
        ),
        starter="def hidden_error(next_weights, next_error, slope):\n    return ...",
        cases=(
            Case(
                "hidden_error(np.array([[2.0, 0.0, -1.0]]), np.array([0.5]), np.ones(3))",
                [1.0, 0.0, -0.5],
                "with one next neuron, each neuron is blamed through the one weight that leads on",
            ),
            Case(
                "hidden_error(np.array([[1.0, 2], [3, 4]]), np.array([1.0, -1]), np.ones(2))",
                [-2.0, -2.0],
                "blame from all next neurons adds up, each through its own weight",
            ),
            Case(
                "hidden_error(np.array([[1.0, 1.0]]), np.array([0.8]), np.array([0.25, 0.0]))",
                [0.2, 0.0],
                "a neuron that is saturated (slope 0) gets no error",
            ),
        ),
        hint=(
            "First collect: each neuron here sums, over the next neurons, weight times error. That "
            "is one matrix product; which side must be turned? Then multiply by the slope."
        ),
        right=(
            "def hidden_error(next_weights, next_error, slope):\n"
            "    return (next_weights.T @ next_error) * slope",
            "def hidden_error(next_weights, next_error, slope):\n"
            "    return (next_error @ next_weights) * slope",
            "def hidden_error(next_weights, next_error, slope):\n"
            "    here = []\n"
            "    for k in range(len(slope)):\n"
            "        blame = 0.0\n"
            "        for j in range(len(next_error)):\n"
            "            blame += next_weights[j, k] * next_error[j]\n"
            "        here.append(blame * slope[k])\n"
            "    return here",
        ),
        wrong=(
            "def hidden_error(next_weights, next_error, slope):\n"
            "    return next_weights.T @ next_error",
            "def hidden_error(next_weights, next_error, slope):\n"
            "    return (next_weights @ next_error) * slope",
            "def hidden_error(next_weights, next_error, slope):\n    return next_error * slope",
        ),
        praise="Applied once for each layer, last to first, it carries the blame to the inputs.",
    ),
    Number(
        question=(
            "**Exercise 2: BP4 by hand.** A neuron has the error $-0.4$ for one example. One of "
            "its inputs was $0.05$. The rate is $0.5$. By how much does the weight of that input "
            "change in one step? (Mind the sign.)"
        ),
        expected=0.01,
        tolerance=1e-4,
        hint=(
            "The slope of the weight is error times input. A step is minus the rate times that "
            "slope."
        ),
        right=("0.01", "1/100"),
        wrong=("-0.01", "0.02", "0.2", "-0.02"),
        near={
            -0.01: "The size is right. The error is negative, and a step goes against the slope.",
            0.2: "That is the change of the bias; a weight's slope has its input as a factor.",
            0.02: "That leaves out the rate.",
            -0.02: "That is the slope; a step is minus the rate times it.",
        },
        praise=(
            "The bias of the same neuron moves by 0.2, twenty times as far: a weight whose input "
            "is near 0 learns slowly."
        ),
    ),
    Choice(
        question=(
            "**Exercise 3: stuck.** A network ends in one sigmoid neuron with the squared loss. "
            "At the start it answers 0.999 for every image, and after 1,000 steps still does, "
            "though half the images are of class 0. Which equation tells why, and what is the "
            "cure?"
        ),
        options={
            "BP4: the inputs are near 0; scale them up": (
                "The neuron's sum is large, so its inputs are not near 0. Larger ones would "
                "saturate it even more."
            ),
            "BP1: the output is saturated; use the cross-entropy": (
                "f'(z) is 0.001 there and multiplies every error. The cross-entropy's slope "
                "cancels that factor, and the error is answer minus truth."
            ),
            "BP3: the biases are missing; add some": (
                "BP3 only says that a bias's slope is the error; here the error itself is near 0."
            ),
            "BP2: too few hidden layers; add one": (
                "BP2 hands on what BP1 gives it. Where that is near 0, one more layer gets near 0."
            ),
        },
        right=("BP1: the output is saturated; use the cross-entropy",),
        wrong=(
            "BP4: the inputs are near 0; scale them up",
            "BP3: the biases are missing; add some",
            "BP2: too few hidden layers; add one",
        ),
        hint="Work out f'(z) = a (1 - a) for a = 0.999. In which equation does it come first?",
    ),
)
