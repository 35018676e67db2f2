"""Exercises of lesson 9, inside a CNN."""

from eosin.guide.exercises import Case, Code, Number

EXERCISES = (
    Number(
        question=(
            "**Exercise 1: follow the size.** A patch of 50 by 50 pixels goes through a 3 by 3 "
            "convolution without padding (the kernel must fit wholly), then 2 by 2 max pooling; "
            "then once more the same two. Pixels past the last whole window are left out. How "
            "many pixels wide are the last maps?"
        ),
        expected=11,
        tolerance=1e-3,
        unit="pixels",
        hint=(
            "At how many places does a kernel of 3 fit along 50 pixels? Halve that. Then again "
            "with the new width; where halving leaves a rest, drop it."
        ),
        right=("11", "11.0"),
        wrong=("12", "12.5", "10", "24", "11.5"),
        near={
            12.0: "That is with padding, or without the places that a kernel loses at the edges.",
            12.5: "Half pixels do not exist; and a convolution without padding loses places.",
            11.5: "Half pixels do not exist: the last incomplete window is left out.",
            24.0: "That is after the first two.",
            22.0: "That is before the second pooling.",
        },
        praise="50, 48, 24, 22, 11.",
    ),
    Code(
        question=(
            "**Exercise 2: write max pooling.** `max_pool(image)` gets a list of rows, or an "
            "array `[H, W]`, with even sides. Return an array `[H/2, W/2]`: the largest of each 2 "
            "by 2 window."
        ),
        starter=(
            "def max_pool(image):\n"
            "    image = np.array(image)\n"
            "    height, width = image.shape\n"
            "    pooled = np.zeros((height // 2, width // 2))\n"
            "    for i in range(height // 2):\n"
            "        for j in range(width // 2):\n"
            "            pooled[i, j] = ...\n"
            "    return pooled"
        ),
        cases=(
            Case("max_pool([[1, 2], [3, 4]])", [[4.0]], "one window, one answer"),
            Case(
                "max_pool([[1, 0, 5, 6], [0, 2, 7, 8]])",
                [[2.0, 8.0]],
                "two windows side by side do not overlap",
            ),
            Case(
                "max_pool([[-5, -6], [-7, -8], [-1, -3], [-2, -4]])",
                [[-5.0], [-1.0]],
                "all values may be below 0, and the largest of them is the answer",
            ),
        ),
        hint="Window (i, j) has the rows 2 i and 2 i + 1 and the columns 2 j and 2 j + 1: a slice.",
        right=(
            "def max_pool(image):\n"
            "    image = np.array(image)\n"
            "    height, width = image.shape\n"
            "    pooled = np.zeros((height // 2, width // 2))\n"
            "    for i in range(height // 2):\n"
            "        for j in range(width // 2):\n"
            "            pooled[i, j] = image[2 * i : 2 * i + 2, 2 * j : 2 * j + 2].max()\n"
            "    return pooled",
            "def max_pool(image):\n"
            "    image = np.array(image)\n"
            "    height, width = image.shape\n"
            "    return image.reshape(height // 2, 2, width // 2, 2).max(axis=(1, 3))",
        ),
        wrong=(
            "def max_pool(image):\n"
            "    image = np.array(image)\n"
            "    height, width = image.shape\n"
            "    pooled = np.zeros((height // 2, width // 2))\n"
            "    for i in range(height // 2):\n"
            "        for j in range(width // 2):\n"
            "            pooled[i, j] = image[i : i + 2, j : j + 2].max()\n"
            "    return pooled",
            "def max_pool(image):\n"
            "    image = np.array(image)\n"
            "    height, width = image.shape\n"
            "    return image.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3))",
            "def max_pool(image):\n"
            "    image = np.array(image)\n"
            "    return np.maximum(image[::2, ::2], 0)",
        ),
        praise="Three quarters of the numbers are removed, and the feature is still there.",
    ),
    Code(
        question=(
            "**Exercise 3: write softmax.** `softmax(sums)` gets a list of numbers and returns "
            "their probabilities: $e^{z_k}$ divided by the sum of all $e^{z_j}$. Large numbers, "
            "such as 1,000, must not break it."
        ),
        starter="def softmax(sums):\n    z = np.array(sums, dtype=float)\n    return ...",
        cases=(
            Case("softmax([0, 0])", [0.5, 0.5], "equal sums share alike"),
            Case(
                "softmax([0.0, 1.0986122886681098])",
                [0.25, 0.75],
                "e to the second number is 3, so it gets three shares of four",
            ),
            Case(
                "softmax([1000.0, 1000.0, 0.0])",
                [0.5, 0.5, 0.0],
                "e to the 1,000 is too large for a 64-bit number; only differences matter, so "
                "the same number may be taken from all of them first",
            ),
        ),
        hint=(
            "np.exp works on a whole array. Taking the largest number from all of them changes no "
            "difference, and then no exponent is above 0."
        ),
        right=(
            "def softmax(sums):\n"
            "    z = np.array(sums, dtype=float)\n"
            "    raised = np.exp(z - z.max())\n"
            "    return raised / raised.sum()",
        ),
        wrong=(
            "def softmax(sums):\n"
            "    z = np.array(sums, dtype=float)\n"
            "    return np.exp(z) / np.exp(z).sum()",
            "def softmax(sums):\n    z = np.array(sums, dtype=float)\n    return z / z.sum()",
            "def softmax(sums):\n    z = np.array(sums)\n    return np.exp(z - z.max())",
        ),
        praise="Every classifier of eosin ends in this function.",
    ),
)
