"""Exercises of lesson 17, from patch to slide."""

from eosin.guide.exercises import Case, Choice, Code, Number

EXERCISES = (
    Number(
        question=(
            "**Exercise 1: pixels and micrometers.** A network was trained on patches of 256 x 256 pixels at "
            "0.5 micrometers a pixel. Level 0 of a slide has 0.2 micrometers a pixel. How many level-0 "
            "pixels wide is the field of one patch?"
        ),
        expected=640,
        hint=(
            "How many micrometers wide was a patch in training? Then ask how many of the slide's small "
            "pixels lie side by side in that length."
        ),
        right=("640", "128/0.2", "640.0"),
        wrong=("256", "102.4", "128", "51.2"),
        near={
            256: "The same number of pixels would show less than half of the width.",
            102.4: "The fraction is upside down: the slide is finer, so it takes more pixels.",
            128: "That is the width in micrometers.",
            51.2: "That is the width, in micrometers, of 256 of the slide's pixels.",
        },
        tolerance=0.01,
        praise="128 micrometers in both. They are reduced 2.5 times, by area, to 256 pixels.",
    ),
    Code(
        question=(
            "**Exercise 2: which level?** `level(mpps, wanted)` gets the micrometers a pixel of each level, from "
            "fine to coarse, and the one that the network needs. It returns the number of the coarsest level that "
            "is no coarser than wanted. A level may be up to 1 percent coarser and still count (files round). "
            "If even level 0 is too coarse, return None: nothing can be read there without making pixels up."
        ),
        starter="def level(mpps, wanted):\n    ...",
        cases=(
            Case("level([0.25, 1.0, 4.0], 4.0)", 2, "there is a level of just this scale"),
            Case("level([0.25, 1.0, 4.0], 2.0)", 1, "level 2 is too coarse, so the next finer one"),
            Case("level([0.25, 1.0, 4.0], 0.5)", 0, "only level 0 is fine enough"),
            Case("level([0.25, 1.0, 4.0], 40.0)", 2, "the coarsest is fine enough"),
            Case("level([0.2501, 1.0005, 4.003], 4.0)", 2, "4.003 is within 1 percent of 4"),
            Case("level([0.5, 2.0], 0.25)", None, "level 0 is too coarse"),
        ),
        hint=(
            "Go through the levels with enumerate and remember the last one whose scale is at most 1.01 times "
            "what is wanted."
        ),
        right=(
            "def level(mpps, wanted):\n"
            "    best = None\n"
            "    for number, mpp in enumerate(mpps):\n"
            "        if mpp <= 1.01 * wanted:\n"
            "            best = number\n"
            "    return best",
            "def level(mpps, wanted):\n"
            "    fine = [k for k, mpp in enumerate(mpps) if mpp <= wanted * 1.01]\n"
            "    return max(fine, default=None)",
        ),
        wrong=(
            "def level(mpps, wanted):\n"
            "    return min(range(len(mpps)), key=lambda k: abs(mpps[k] - wanted))",
            "def level(mpps, wanted):\n"
            "    return max((k for k, mpp in enumerate(mpps) if mpp <= wanted), default=None)",
            "def level(mpps, wanted):\n    return 0",
            "def level(mpps, wanted):\n"
            "    return max((k for k, mpp in enumerate(mpps) if mpp <= 1.01 * wanted), default=0)",
        ),
        praise="Without the 1 percent, a level of 4.003 is missed and 16 times the pixels are read.",
    ),
    Code(
        question=(
            "**Exercise 3: count each place once.** `area(called, field, stride)` gets how many patches were called "
            "tumor, the width of what a patch shows, and the stride, both in micrometers. Each patch stands "
            "for a square box: as wide as the stride where patches overlap, as wide as the field where "
            "there are gaps between them. Return the area in mm2."
        ),
        starter="def area(called, field, stride):\n    ...",
        cases=(
            Case("area(100, 200, 200)", 4.0, "patches that touch: 100 squares of 0.2 x 0.2 mm"),
            Case(
                "area(1600, 200, 50)", 4.0, "overlapping patches count with the middle of each only"
            ),
            Case("area(25, 200, 400)", 1.0, "nobody has looked into the gaps"),
            Case("area(0, 200, 100)", 0.0, "nothing was called"),
        ),
        hint="Which is smaller, the field or the stride? And how many micrometers are a millimeter?",
        right=(
            "def area(called, field, stride):\n"
            "    side = min(field, stride) / 1000\n"
            "    return called * side ** 2",
            "def area(called, field, stride):\n"
            "    own = stride if stride < field else field\n"
            "    return called * own * own / 1e6",
        ),
        wrong=(
            "def area(called, field, stride):\n    return called * field ** 2 / 1e6",
            "def area(called, field, stride):\n    return called * stride ** 2 / 1e6",
            "def area(called, field, stride):\n    return called * min(field, stride) ** 2 / 1000",
            "def area(called, field, stride):\n    return called * min(field, stride) / 1000",
        ),
        praise="Adding up whole patches at a stride of 50 would have given 64 mm2 instead of 4.",
    ),
    Choice(
        question=(
            "**Exercise 4: a promise about a slide.** A report says: AUROC 0.98 on test patches, half of which are "
            "tumor. A slide has 300 mm2 of tissue and 1 mm2 of tumor. What do you know about the area "
            "that the network will call tumor there?"
        ),
        options={
            "It will be about 1 mm2": (
                "A specificity of 0.95 is good, and would add 15 mm2 of false alarms to it."
            ),
            "It will be at most 2 % wrong": (
                "AUROC is no share of errors: it tells how often a tumor patch ranks above another one."
            ),
            "Nothing yet: it takes the threshold, and its specificity on such tissue": (
                "At a specificity of 0.95 some 15 mm2 of healthy tissue are called tumor, at 0.999 it is "
                "0.3 mm2, and both can belong to the same AUROC."
            ),
            "It is right if the threshold is moved until 1 mm2 is called": (
                "Then the area is what you put in, wherever on the slide it lies."
            ),
        },
        right=("Nothing yet: it takes the threshold, and its specificity on such tissue",),
        wrong=(
            "It will be about 1 mm2",
            "It will be at most 2 % wrong",
            "It is right if the threshold is moved until 1 mm2 is called",
        ),
        hint="Nearly all of the slide is healthy. Which figure says how often healthy tissue is called tumor?",
    ),
)
