"""Exercises of lesson 12, the network that could not learn."""

from eosin.guide.exercises import Case, Code, Number

EXERCISES = (
    Code(
        question=(
            "**Exercise 1: see it yourself.** Write `log_softmax(scores)`: from a list of scores of one patch to "
            "the list of the logarithms of their softmax. Then think what the answer is for a single score. "
            "(`np` is there. Large scores must not overflow: subtracting the largest score from all "
            "changes nothing, since it cancels.)"
        ),
        starter=(
            "def log_softmax(scores):\n"
            "    z = np.array(scores, dtype=float)\n"
            "    ...\n\n\n"
            "print(log_softmax([3.0]), log_softmax([-8.0]))"
        ),
        cases=(
            Case("log_softmax([0.0, 0.0])", [-0.6931471806, -0.6931471806], "two equal shares"),
            Case(
                "np.exp(log_softmax([1.0, 2.0, 4.0])).sum()",
                1.0,
                "the shares of a softmax sum to 1",
            ),
            Case(
                "log_softmax([0.0, 1.0])",
                [-1.3132616875, -0.3132616875],
                "the difference of the logarithms is the difference of the scores",
            ),
            Case(
                "log_softmax([1000.0, 0.0])",
                [0.0, -1000.0],
                "e to the 1000 is too large for a computer: subtract the largest score first",
            ),
            Case("[log_softmax([z])[0] for z in (-5.0, 0.0, 7.0)]", [0.0, 0.0, 0.0], "one score"),
        ),
        hint=(
            "log(e^a / s) is a - log(s). So it is the scores, less the logarithm of a sum, after the "
            "largest score was subtracted from all."
        ),
        right=(
            "def log_softmax(scores):\n"
            "    z = np.array(scores, dtype=float)\n"
            "    z = z - z.max()\n"
            "    return z - np.log(np.exp(z).sum())",
        ),
        wrong=(
            "def log_softmax(scores):\n"
            "    z = np.array(scores, dtype=float)\n"
            "    return np.exp(z) / np.exp(z).sum()",
            "def log_softmax(scores):\n"
            "    z = np.array(scores, dtype=float)\n"
            "    return np.log(np.exp(z) / np.exp(z).sum())",
            "def log_softmax(scores):\n"
            "    z = np.array(scores, dtype=float)\n"
            "    return np.log(1 / (1 + np.exp(-z)))",
        ),
        praise="And look at the last test: for one score the answer is 0, for any score.",
    ),
    Number(
        question=(
            "**Exercise 2: predict the headline.** The whole archive has 198,738 negative and 78,786 positive "
            "patches. Which accuracy, in percent with one decimal, does the tutorial print on all of "
            "it, however long it trains?"
        ),
        expected=71.6,
        hint="It calls every patch negative. Which patches does it then get right, out of all?",
        right=("71.6", "71,6", "71.61"),
        wrong=("28.4", "50", "0.716", "100"),
        near={
            28.4: "That is the share of positives, none of which it finds.",
            50.0: "Guessing would get half; it does not guess.",
            0.716: "In percent, please.",
        },
        tolerance=0.05,
        unit="percent",
        praise="The headline of the tutorial is a count of its data.",
    ),
    Number(
        question=(
            "**Exercise 3: double the files.** Each patch is in the archive exactly twice, and a random quarter of "
            "all files becomes the test part. For about what share of the test files does the copy "
            "stand in the training part? (A fraction such as 1/2 will do.)"
        ),
        expected=0.75,
        hint=(
            "Take one test file. Where does chance put its copy? The two are drawn almost "
            "independently of each other."
        ),
        right=("0.75", "3/4"),
        wrong=("0.25", "0.5", "1", "0.1875"),
        near={
            0.25: "That is the share whose copy is in the test part as well.",
            0.5: "The parts are not of equal size.",
            1.0: "Some copies land in the test part too.",
            0.1875: "That counts pairs split over both parts; the file is known to be in test.",
        },
        tolerance=0.011,
        praise="Three of four test files have been learned by heart: the score measures memory.",
    ),
)
