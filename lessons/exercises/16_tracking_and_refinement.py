"""Exercises of lesson 16, tracking and refinement."""

from eosin.guide.exercises import Case, Choice, Code

EXERCISES = (
    Code(
        question=(
            "**Exercise 1: read a run.** `best(lines)` gets the lines of a `metrics.jsonl` and returns the `epoch` "
            "with the highest `val_auroc`. Not each line has one (validation may be rarer), and the last "
            "line may be cut off by a crash. Of equal ones, the first. (`json` is there.)"
        ),
        starter="def best(lines):\n    for line in lines:\n        row = json.loads(line)\n    ...",
        setup="import json",
        cases=(
            Case(
                'best([\'{"epoch": 1, "val_auroc": 0.7}\', \'{"epoch": 2, "val_auroc": 0.9}\'])',
                2,
                "the second is higher",
            ),
            Case(
                'best([\'{"epoch": 1, "val_auroc": 0.7}\', \'{"epoch": 2, "loss": 0.3}\'])',
                1,
                "epoch 2 was not validated",
            ),
            Case(
                'best([\'{"epoch": 1, "val_auroc": 0.8}\', \'{"epoch": 2, "val_auroc": 0.8}\'])',
                1,
                "of equal ones the first",
            ),
            Case(
                'best([\'{"epoch": 1, "val_auroc": 0.7}\', \'{"epoch": 2, "val_au\'])',
                1,
                "the last line was cut off by a crash",
            ),
        ),
        hint=(
            "`json.loads` raises json.JSONDecodeError (a ValueError) for a broken line; `'val_auroc' in "
            "row` tells whether it is there; `max(rows, key=...)` gives the first of equal ones."
        ),
        right=(
            "def best(lines):\n"
            "    rows = []\n"
            "    for line in lines:\n"
            "        try:\n"
            "            row = json.loads(line)\n"
            "        except json.JSONDecodeError:\n"
            "            continue\n"
            "        if 'val_auroc' in row:\n"
            "            rows.append(row)\n"
            "    return max(rows, key=lambda row: row['val_auroc'])['epoch']",
        ),
        wrong=(
            "def best(lines):\n"
            "    rows = [json.loads(line) for line in lines]\n"
            "    return max(rows, key=lambda row: row['val_auroc'])['epoch']",
            "def best(lines):\n"
            "    rows = [json.loads(line) for line in lines]\n"
            "    return max(rows, key=lambda row: row.get('val_auroc', 0))['epoch']",
            "def best(lines):\n    return len(lines)",
        ),
        praise='That is what `keep = "best"` in a recipe looks for.',
    ),
    Code(
        question=(
            "**Exercise 2: patience.** `stop(scores, patience)` gets the validation score of each epoch and returns "
            "the number of the epoch (from 1) after which training stops: the first at which the best "
            "score is `patience` epochs old. If that never happens, the number of epochs."
        ),
        starter="def stop(scores, patience):\n    ...",
        cases=(
            Case("stop([0.6, 0.7, 0.8], 2)", 3, "it always got better: all epochs"),
            Case(
                "stop([0.6, 0.8, 0.7, 0.7, 0.9], 2)", 4, "the best is from epoch 2, two epochs old"
            ),
            Case(
                "stop([0.6, 0.8, 0.7, 0.9, 0.7, 0.7], 2)", 6, "a better one starts the wait again"
            ),
            Case("stop([0.8, 0.8, 0.8, 0.8], 3)", 4, "an equal score is not a better one"),
        ),
        hint="Remember the best score and its epoch; at each epoch compare how long ago that was.",
        right=(
            "def stop(scores, patience):\n"
            "    best, best_epoch = float('-inf'), 0\n"
            "    for epoch, score in enumerate(scores, 1):\n"
            "        if score > best:\n"
            "            best, best_epoch = score, epoch\n"
            "        elif epoch - best_epoch >= patience:\n"
            "            return epoch\n"
            "    return len(scores)",
        ),
        wrong=(
            "def stop(scores, patience):\n"
            "    for epoch in range(1, len(scores)):\n"
            "        if scores[epoch] < scores[epoch - 1]:\n"
            "            return epoch + 1\n"
            "    return len(scores)",
            "def stop(scores, patience):\n"
            "    return min(len(scores), scores.index(max(scores)) + 1 + patience)",
        ),
        praise="Note what it looks at: validation. Stopping by the test part would be choosing on it.",
    ),
    Choice(
        question=(
            "**Exercise 3: what do you report?** Run B is 0.012 above run A in AUROC, 95 % interval of the paired "
            "difference -0.008 to 0.031, on 30 cases. What may you say?"
        ),
        options={
            "B is better": "The interval contains 0: with other cases the result could be the opposite.",
            "A and B are equal": (
                "That is not shown either: B may be better by up to 0.031. Not knowing is not the same as being equal."
            ),
            "B was 0.012 higher on these cases; the interval includes no difference": (
                "That is what was measured, and how sure it is. More cases would decide."
            ),
            "The intervals of A and B overlap, so nothing can be said": (
                "Overlapping intervals of each run do not decide it; the paired difference does."
            ),
        },
        right=("B was 0.012 higher on these cases; the interval includes no difference",),
        wrong=(
            "B is better",
            "A and B are equal",
            "The intervals of A and B overlap, so nothing can be said",
        ),
        hint="Which values of the difference does the interval leave possible?",
    ),
)
