"""Exercises of lesson 13, honest evaluation."""

from eosin.guide.exercises import Case, Code, Number

EXERCISES = (
    Code(
        question=(
            "**Exercise 1: a leak detector.** `shared(train, test)` gets two lists with the case of each patch, "
            "and returns the sorted list of the cases that are in both, each once. A patch whose "
            "case is unknown has the case `''`; two unknown cases are not known to be the same."
        ),
        starter="def shared(train, test):\n    ...",
        cases=(
            Case("shared(['A', 'A', 'B'], ['C', 'B', 'B'])", ["B"], "each shared case once"),
            Case("shared(['A'], ['B'])", [], "nothing in common is an empty list"),
            Case("shared(['C', 'A', 'B'], ['B', 'C'])", ["B", "C"], "sorted"),
            Case("shared(['', 'A'], ['', 'B'])", [], "'' is not a case"),
        ),
        hint="A set has each thing once, and & of two sets is what they share.",
        right=(
            "def shared(train, test):\n    return sorted((set(train) & set(test)) - {''})",
            "def shared(train, test):\n    return sorted({c for c in train if c and c in test})",
        ),
        wrong=(
            "def shared(train, test):\n    return sorted(set(train) & set(test))",
            "def shared(train, test):\n    return [c for c in test if c in train]",
            "def shared(train, test):\n    return len(set(train) & set(test))",
        ),
        praise="eosin refuses to train where this list is not empty, unless you insist.",
    ),
    Number(
        question=(
            "**Exercise 2: rare disease.** A threshold has sensitivity 0.9 and specificity 0.9, measured where "
            "half of the patches are positive. Now 1 patch in 100 is positive. Of the patches that it "
            "calls positive, what share really is? (Two decimals.)"
        ),
        expected=0.0833,
        hint=(
            "Take 1,000 patches. How many are positive, and how many of these are called so? How many "
            "of the others are called positive as well?"
        ),
        right=("0.08", "0.083", "9/108", "0.0833"),
        wrong=("0.9", "0.5", "0.01", "0.99"),
        near={
            0.9: "That would be so where half of the patches are positive.",
            0.01: "That is the share of positives among all patches.",
            0.99: "That is the share of negatives among all patches.",
        },
        tolerance=0.004,
        praise="9 of 108. A figure travels only together with its prevalence.",
    ),
    Code(
        question=(
            "**Exercise 3: draw cases.** `rows_of(cases, drawn)` gets the case of each patch and the list of drawn "
            "cases (a case may be drawn twice), and returns the list of row numbers of the pretended "
            "test set: for each drawn case, in order, all its rows."
        ),
        starter="def rows_of(cases, drawn):\n    rows = []\n    ...\n    return rows",
        cases=(
            Case(
                "rows_of(['A', 'B', 'A'], ['A'])", [0, 2], "all patches of a drawn case come along"
            ),
            Case(
                "rows_of(['A', 'B', 'A'], ['B', 'A'])",
                [1, 0, 2],
                "in the order in which the cases were drawn",
            ),
            Case(
                "rows_of(['A', 'B', 'A'], ['A', 'A', 'B'])",
                [0, 2, 0, 2, 1],
                "a case drawn twice counts twice: with repetition",
            ),
            Case("rows_of(['A', 'B'], [])", [], "nothing drawn"),
        ),
        hint="Two loops: over the drawn cases, and inside over the rows with enumerate.",
        right=(
            "def rows_of(cases, drawn):\n"
            "    rows = []\n"
            "    for name in drawn:\n"
            "        for row, case in enumerate(cases):\n"
            "            if case == name:\n"
            "                rows.append(row)\n"
            "    return rows",
            "def rows_of(cases, drawn):\n"
            "    return [r for name in drawn for r, c in enumerate(cases) if c == name]",
        ),
        wrong=(
            "def rows_of(cases, drawn):\n    return [r for r, c in enumerate(cases) if c in drawn]",
            "def rows_of(cases, drawn):\n    return [cases.index(name) for name in drawn]",
            "def rows_of(cases, drawn):\n"
            "    return [r for name in sorted(set(drawn)) for r, c in enumerate(cases) if c == name]",
        ),
        praise="Repeat that 2,000 times, and you have the intervals of every eosin report.",
    ),
)
