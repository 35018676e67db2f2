"""Exercises of lesson 7, a feed-forward network."""

from eosin.guide.exercises import Case, Choice, Code, Number

EXERCISES = (
    Number(
        question=(
            "**Exercise 1: count the parameters.** A network takes 30 measurements, has one "
            "hidden layer of 20 neurons and 2 outputs. Each neuron has a weight for each of its "
            "inputs, and a bias. How many numbers does it learn?"
        ),
        expected=662,
        tolerance=1e-3,
        hint="Layer by layer: inputs times neurons for the weights, and one bias for each neuron.",
        right=("662",),
        wrong=("640", "600", "620", "52", "1200"),
        near={
            640.0: "Those are the weights; the biases are missing.",
            620.0: "That is the first layer; the output layer has some as well.",
            600.0: "Those are the weights of the first layer alone.",
            660.0: "The output neurons have biases too.",
            692.0: "Inputs are not neurons: they have no bias.",
            52.0: "Those are the inputs and the neurons. How many weights lead into each neuron?",
            1200.0: "Layers do not multiply: each pair of neighbors has its own weights.",
        },
        praise="(30 + 1) times 20, and (20 + 1) times 2.",
    ),
    Code(
        question=(
            "**Exercise 2: scale without peeking.** `standardize(train, test)` gets two arrays, a "
            "row a tumor and a column a measurement. Return both, each column minus its mean and "
            "divided by its standard deviation. Both numbers must come from `train` alone: at "
            "test time the future is not known."
        ),
        starter=(
            "def standardize(train, test):\n"
            "    mean = ...\n"
            "    deviation = ...\n"
            "    return (train - mean) / deviation, (test - mean) / deviation"
        ),
        cases=(
            Case(
                "standardize(np.array([[0.0], [2.0]]), np.array([[4.0]]))[0]",
                [[-1.0], [1.0]],
                "the training column has mean 1 and deviation 1",
            ),
            Case(
                "standardize(np.array([[0.0], [2.0]]), np.array([[4.0]]))[1]",
                [[3.0]],
                "the test row goes by the mean and deviation of the training rows",
            ),
            Case(
                "standardize(np.array([[0.0, 100.0], [2.0, 300.0]]), np.array([[1.0, 400.0]]))[0]",
                [[-1.0, -1.0], [1.0, 1.0]],
                "each column has its own mean and deviation",
            ),
        ),
        hint="`.mean(axis=0)` goes down the columns, one number each; `.std(axis=0)` does too.",
        right=(
            "def standardize(train, test):\n"
            "    mean = train.mean(axis=0)\n"
            "    deviation = train.std(axis=0)\n"
            "    return (train - mean) / deviation, (test - mean) / deviation",
        ),
        wrong=(
            "def standardize(train, test):\n"
            "    mean = train.mean()\n"
            "    deviation = train.std()\n"
            "    return (train - mean) / deviation, (test - mean) / deviation",
            "def standardize(train, test):\n"
            "    def own(rows):\n"
            "        return (rows - rows.mean(axis=0)) / (rows.std(axis=0) + 1e-12)\n"
            "    return own(train), own(test)",
            "def standardize(train, test):\n"
            "    both = np.concatenate([train, test])\n"
            "    mean, deviation = both.mean(axis=0), both.std(axis=0)\n"
            "    return (train - mean) / deviation, (test - mean) / deviation",
        ),
        praise=(
            "If the test rows counted in the mean, a little of the answer sheet would be in the "
            "lesson."
        ),
    ),
    Choice(
        question=(
            "**Exercise 3: read the curves.** Loss on the training images: 0.9, 0.3, 0.1, 0.02, "
            "0.004. Loss on the validation images after the same epochs: 1.0, 0.5, 0.42, 0.47, "
            "0.58. What is happening, and which epoch's weights would you keep?"
        ),
        options={
            "It still improves; keep the fifth": (
                "On what it has seen. On images it has not seen it gets worse from the third on."
            ),
            "It overfits; keep the third": (
                "From the third epoch on it learns the training images by heart, and new images "
                "pay for it. The validation loss, not the training loss, tells when to stop."
            ),
            "The rate is too high; keep none": (
                "Too high a rate would show in the training loss, and that falls smoothly."
            ),
            "Look at the test set to decide": (
                "Then the test set has been used to choose, and can no longer show how good the "
                "choice is on new images. That is what validation is for."
            ),
        },
        right=("It overfits; keep the third",),
        wrong=(
            "It still improves; keep the fifth",
            "The rate is too high; keep none",
            "Look at the test set to decide",
        ),
        hint="Which of the two losses is about images that the network has not learned from?",
    ),
)
