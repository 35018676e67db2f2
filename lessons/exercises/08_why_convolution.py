"""Exercises of lesson 8, why convolution."""

from eosin.guide.exercises import Case, Choice, Code, Number

EXERCISES = (
    Number(
        question=(
            "**Exercise 1: count the parameters.** A convolution has 32 kernels of 3 by 3 pixels, "
            "and its input has 16 channels (maps). Each kernel looks at all channels and has one "
            "bias. How many numbers does it learn?"
        ),
        expected=4640,
        tolerance=1e-3,
        hint=(
            "One kernel first: how many weights does it need to look at a 3 by 3 window of 16 "
            "maps? Then its bias, then 32 of them."
        ),
        right=("4640", "4640.0"),
        wrong=("4608", "320", "288", "145"),
        near={
            4608.0: "Those are the weights; the biases are missing.",
            288.0: "A kernel looks at all 16 channels at once.",
            320.0: "A kernel looks at all 16 channels at once.",
            145.0: "That is one kernel with its bias.",
            5120.0: "One bias a kernel, not one for each channel.",
        },
        praise="Whether the image is 8 or 8,000 pixels wide.",
    ),
    Code(
        question=(
            "**Exercise 2: slide in one dimension.** `slide(signal, kernel)` gets two lists. It "
            "lays the kernel on the signal at every place where all of it fits, and returns the "
            "list of the dot products. (As in deep learning, the kernel is not turned over.)"
        ),
        starter=(
            "def slide(signal, kernel):\n"
            "    answers = []\n"
            "    places = ...\n"
            "    for start in range(places):\n"
            "        ...\n"
            "    return answers"
        ),
        cases=(
            Case(
                "slide([0, 0, 5, 5], [-1, 1])",
                [0, 5, 0],
                "this kernel answers where the signal steps up",
            ),
            Case(
                "slide([1, 2, 3], [1, 1, 1])", [6], "a kernel as long as the signal has one place"
            ),
            Case(
                "slide([3, 1, 4, 1, 5], [2, 0, -1])",
                [2, 1, 3],
                "5 numbers and a kernel of 3: three places, the last one included",
            ),
            Case(
                "slide([0, 0, 0, 0, 5, 5], [-1, 1])",
                [0, 0, 0, 5, 0],
                "the step moved two places to the right, and so must the answer",
            ),
        ),
        hint=(
            "A kernel of length k fits into n numbers at n - k + 1 places. At each, multiply "
            "number by number and add up: sum(a * b for a, b in zip(...))."
        ),
        right=(
            "def slide(signal, kernel):\n"
            "    answers = []\n"
            "    places = len(signal) - len(kernel) + 1\n"
            "    for start in range(places):\n"
            "        window = signal[start : start + len(kernel)]\n"
            "        answers.append(sum(a * b for a, b in zip(window, kernel)))\n"
            "    return answers",
            "def slide(signal, kernel):\n"
            "    return np.correlate(np.array(signal), np.array(kernel), mode='valid')",
        ),
        wrong=(
            "def slide(signal, kernel):\n"
            "    answers = []\n"
            "    for start in range(len(signal) - len(kernel)):\n"
            "        window = signal[start : start + len(kernel)]\n"
            "        answers.append(sum(a * b for a, b in zip(window, kernel)))\n"
            "    return answers",
            "def slide(signal, kernel):\n    return np.convolve(signal, kernel, mode='valid')",
            "def slide(signal, kernel):\n"
            "    answers = []\n"
            "    for start in range(len(signal)):\n"
            "        window = signal[start : start + len(kernel)]\n"
            "        answers.append(sum(a * b for a, b in zip(window, kernel)))\n"
            "    return answers",
        ),
        praise="Do it in two directions and you have the convolution of every network here.",
    ),
    Choice(
        question=(
            "**Exercise 3: turn the tissue.** A patch of tissue has no up and no down: turned by "
            "90 degrees it is as likely. A convolutional network has seen each training patch in "
            "one position only. What can it be sure to treat alike?"
        ),
        options={
            "A feature and the same feature moved": (
                "Its map moves along with the feature, because the same weights are used at every "
                "place. Nothing in it promises the same for a turned feature."
            ),
            "A feature and the same feature turned": (
                "A turned feature meets other weights of the kernel, as this lesson measured. "
                "Training on turned copies is the usual cure."
            ),
            "A feature and the same feature twice as large": (
                "Twice as large, it no longer even fits into the kernel."
            ),
            "A feature in another stain color": (
                "Another color is another mix of the channels, and each channel has its own "
                "weights."
            ),
        },
        right=("A feature and the same feature moved",),
        wrong=(
            "A feature and the same feature turned",
            "A feature and the same feature twice as large",
            "A feature in another stain color",
        ),
        hint="Which change leaves every window as it is, and only puts it elsewhere?",
    ),
)
