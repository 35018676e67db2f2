"""Exercises of lesson 2, activations."""

from eosin.guide.exercises import Case, Choice, Code

EXERCISES = (
    Code(
        question=(
            "**Exercise 1: a neuron that says how much.** Write `sigmoid(z)`, the formula above, "
            "so that `z` may be a number or a NumPy array of any shape. `np` is there."
        ),
        starter="def sigmoid(z):\n    ...",
        cases=(
            Case("sigmoid(0.0)", 0.5, "at 0 it is halfway"),
            Case("sigmoid(2.0)", 0.8807970779778823, "above 0 the answer is above one half"),
            Case("sigmoid(-2.0)", 0.11920292202211755, "below 0 the answer is below one half"),
            Case(
                "sigmoid(np.array([[-1.0, 0.0], [1.0, 3.0]]))",
                [[0.2689414213699951, 0.5], [0.7310585786300049, 0.9525741268224334]],
                "an array has to come back in its shape",
            ),
        ),
        hint="`np.exp` takes numbers and arrays alike. Which sign has z inside it?",
        right=(
            "def sigmoid(z):\n    return 1 / (1 + np.exp(-z))",
            "sigmoid = lambda z: np.exp(z) / (1 + np.exp(z))",
            "def sigmoid(z):\n    return 0.5 * (1 + np.tanh(z / 2))",
        ),
        wrong=(
            "def sigmoid(z):\n    return 1 / (1 + np.exp(z))",
            "def sigmoid(z):\n    return 1 / 1 + np.exp(-z)",
            "import math\ndef sigmoid(z):\n    return 1 / (1 + math.exp(-z))",
            "def sigmoid(z):\n    1 / (1 + np.exp(-z))",
            "def Sigmoid(z):\n    return 1 / (1 + np.exp(-z))",
            "def sigmoid(z):\n    return np.tanh(z)",
        ),
        praise="It is smooth everywhere, so every nudge has an answer.",
    ),
    Code(
        question=(
            "**Exercise 2: measure a slope.** Write `slope(f, z)`: the slope of any function `f` "
            "at `z`, measured by nudging. Look at `f` a little to the right *and* a little to "
            "the left of `z`; a nudge of `1e-5` will do. The lessons check every formula so."
        ),
        starter="def slope(f, z):\n    h = 1e-5\n    ...",
        cases=(
            Case("slope(lambda z: 3 * z, 2.0)", 3.0, "a line has its own slope everywhere", 1e-4),
            Case("slope(lambda z: z**2, -1.0)", -2.0, "left of 0 a parabola falls", 1e-4),
            Case("slope(np.tanh, 0.0)", 1.0, "tanh is steepest at 0", 1e-4),
            Case(
                "slope(lambda z: 1e4 * z**2, 0.0)",
                0.0,
                "a parabola is flat at its lowest point, which only a look to both sides can see",
            ),
        ),
        hint=(
            "Rise over run: how much f changes from the left place to the right one, divided by "
            "how far these two are apart. That is not h."
        ),
        right=(
            "def slope(f, z):\n    h = 1e-5\n    return (f(z + h) - f(z - h)) / (2 * h)",
            "slope = lambda f, z, h=1e-5: (f(z + h) - f(z - h)) / (z + h - (z - h))",
        ),
        wrong=(
            "def slope(f, z):\n    h = 1e-5\n    return (f(z + h) - f(z - h)) / h",
            "def slope(f, z):\n    h = 1e-5\n    return f(z + h) - f(z - h)",
            "def slope(f, z):\n    h = 1e-5\n    return (f(z) - f(z + h)) / h",
            "def slope(f, z):\n    h = 1e-5\n    return (f(z + h) - f(z)) / h",
            "def slope(f, z):\n    while True:\n        pass",
        ),
        praise="This is called a central difference, and no formula in this guide escapes it.",
    ),
    Choice(
        question=(
            "**Exercise 3: which last layer?** Each patch is either positive or negative. Which "
            "ending gives a network that can learn to tell them apart?"
        ),
        options={
            "one logit, then softmax": (
                "Softmax over one logit is always 1: nothing the network does changes the answer."
            ),
            "one logit, then sigmoid": (
                "The sigmoid turns the one logit into the probability of a positive, from 0 to 1."
            ),
            "two logits, then softmax": (
                "Two logits have a difference, and softmax turns it into two probabilities; it is "
                "the same as one logit and a sigmoid."
            ),
            "one logit, then a step": (
                "The step decides, but its slope is 0 wherever it has one, so nothing is learned."
            ),
        },
        right=("two logits, then softmax", "one logit, then sigmoid"),
        wrong=("one logit, then softmax", "one logit, then a step"),
        hint=(
            "More than one of these would do. For yours, ask: does the answer change a little when "
            "the logit changes a little?"
        ),
    ),
)
