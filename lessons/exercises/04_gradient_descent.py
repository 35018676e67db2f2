"""Exercises of lesson 4, gradient descent."""

from eosin.guide.exercises import Case, Choice, Code, Number

EXERCISES = (
    Number(
        question=(
            "**Exercise 1: one step by hand.** Two points, $(1, 2)$ and $(2, 4)$, and a line "
            "through the origin, $y = w x$. The loss is the mean of $(w x - y)^2$, so its slope "
            "is the mean of $2 (w x - y)\\, x$. You are at $w = 4$ and the rate is $0.1$. Where is "
            "$w$ after one step?"
        ),
        expected=3.0,
        hint=(
            "First the slope: work out 2 (w x - y) x for each point, then take the mean of the "
            "two. Then subtract rate times slope from w."
        ),
        right=("3", "3.0"),
        wrong=("5", "2", "-6", "3.6", ""),
        tolerance=1e-3,
        near={
            5.0: "That is a step up the hill: the slope is positive, so which way is down?",
            2.0: "That is the bottom itself. Is your slope the sum over the points, or their mean?",
            -6.0: "You subtracted the whole slope. How large a share of it is a step?",
            3.5: "Is the 2 of the derivative in your slope?",
        },
        praise="The slope at 4 is (4 + 16) / 2 = 10, and 4 - 0.1 times 10 is 3.",
    ),
    Code(
        question=(
            "**Exercise 2: write the descent.** `descend(slope, start, rate, steps)` gets a "
            "function `slope` that tells the slope at any `w`. It returns the list of every `w` "
            "visited, the start first: `steps + 1` numbers."
        ),
        starter=(
            "def descend(slope, start, rate, steps):\n"
            "    w = start\n"
            "    visited = [w]\n"
            "    for _ in range(steps):\n"
            "        ...\n"
            "    return visited"
        ),
        cases=(
            Case(
                "descend(lambda w: 2 * w, 1.0, 0.25, 0)",
                [1.0],
                "with no steps you stay at the start",
            ),
            Case(
                "descend(lambda w: 2 * w, 8.0, 0.25, 3)",
                [8.0, 4.0, 2.0, 1.0],
                "the slope of w squared is 2 w; a rate of 0.25 halves w in each step",
            ),
            Case(
                "descend(lambda w: 2 * (w - 3), 0.0, 0.5, 2)",
                [0.0, 3.0, 3.0],
                "left of the bottom the slope is negative, so w must grow; at the bottom it stays",
            ),
            Case(
                "descend(lambda w: 2 * w, 1.0, 1.5, 3)",
                [1.0, -2.0, 4.0, -8.0],
                "too high a rate must diverge in your code as well",
            ),
        ),
        hint=(
            "Two lines inside the loop: change w by rate times the slope at the present w, in the "
            "direction that goes down; then append w to the list."
        ),
        right=(
            "def descend(slope, start, rate, steps):\n"
            "    w = start\n"
            "    visited = [w]\n"
            "    for _ in range(steps):\n"
            "        w = w - rate * slope(w)\n"
            "        visited.append(w)\n"
            "    return visited",
            "def descend(slope, start, rate, steps):\n"
            "    path = np.empty(steps + 1)\n"
            "    path[0] = start\n"
            "    for k in range(steps):\n"
            "        path[k + 1] = path[k] - rate * slope(path[k])\n"
            "    return path",
        ),
        wrong=(
            "def descend(slope, start, rate, steps):\n"
            "    w = start\n"
            "    visited = [w]\n"
            "    for _ in range(steps):\n"
            "        w = w + rate * slope(w)\n"
            "        visited.append(w)\n"
            "    return visited",
            "def descend(slope, start, rate, steps):\n"
            "    w = start\n"
            "    visited = []\n"
            "    for _ in range(steps):\n"
            "        w = w - rate * slope(w)\n"
            "        visited.append(w)\n"
            "    return visited",
            "def descend(slope, start, rate, steps):\n"
            "    visited = [start]\n"
            "    for _ in range(steps):\n"
            "        visited.append(start - rate * slope(start))\n"
            "    return visited",
        ),
        praise="That loop, with more numbers in w, is how every network in this guide learns.",
    ),
    Choice(
        question=(
            "**Exercise 3: read the numbers.** A training run prints its loss after each step: "
            "`8.0, 11.2, 15.7, 22.0, 30.7`. What is the first thing to try?"
        ),
        options={
            "More steps": (
                "Each step makes it 1.4 times worse, so more steps make it worse still."
            ),
            "A lower rate": (
                "The loss grows by the same factor at each step: every step jumps over the bottom "
                "and lands higher on the other side. A shorter step does not."
            ),
            "A higher rate": "Longer steps would jump over the bottom by even more.",
            "Another start": (
                "The factor of 1.4 a step would be the same from any start in the same bowl."
            ),
        },
        right=("A lower rate",),
        wrong=("More steps", "A higher rate", "Another start"),
        hint="Look at the ratio of each loss to the one before, and ask which picture it fits.",
    ),
)
