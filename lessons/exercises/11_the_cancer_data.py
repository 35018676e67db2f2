"""Exercises of lesson 11, the cancer data."""

from eosin.guide.exercises import Case, Choice, Code, Number

EXERCISES = (
    Code(
        question=(
            "**Exercise 1: read a name.** `read(path)` gets a path such as "
            "`8863/0/8863_idx5_x51_y1251_class0.png` and returns `(case, x, y, label)`: the case as "
            "text, the others as whole numbers. The same patch may be in the nested folder; that "
            "changes nothing."
        ),
        starter="def read(path):\n    name = path.split('/')[-1]\n    ...",
        cases=(
            Case("read('8863/0/8863_idx5_x51_y1251_class0.png')", ["8863", 51, 1251, 0]),
            Case("read('10253/1/10253_idx5_x1351_y1101_class1.png')", ["10253", 1351, 1101, 1]),
            Case(
                "read('IDC_regular_ps50_idx5/8863/1/8863_idx5_x1_y2_class1.png')",
                ["8863", 1, 2, 1],
                "the nested copy of a patch: the file's name contains the case as well",
            ),
            Case(
                "read('07/0/07_idx5_x1_y1_class0.png')[0]",
                "07",
                "a case is a name, not a number: its zero must stay",
            ),
        ),
        hint="Split the file's name at the underscores; then `part[1:]` leaves out a first letter.",
        right=(
            "def read(path):\n"
            "    name = path.split('/')[-1]\n"
            "    case, _, x, y, label = name.removesuffix('.png').split('_')\n"
            "    return case, int(x[1:]), int(y[1:]), int(label[5:])",
            "import re\n\ndef read(path):\n"
            "    m = re.search(r'([^/_]+)_idx5_x(\\d+)_y(\\d+)_class(\\d)\\.png$', path)\n"
            "    return m[1], int(m[2]), int(m[3]), int(m[4])",
        ),
        wrong=(
            "def read(path):\n"
            "    name = path.split('/')[-1]\n"
            "    case, _, x, y, label = name.removesuffix('.png').split('_')\n"
            "    return int(case), int(x[1:]), int(y[1:]), int(label[5:])",
            "def read(path):\n"
            "    name = path.split('/')[-1]\n"
            "    case, _, x, y, label = name.removesuffix('.png').split('_')\n"
            "    return path.split('/')[0], int(x[1:]), int(y[1:]), int(label[5:])",
            "def read(path):\n"
            "    name = path.split('/')[-1]\n"
            "    case, _, x, y, label = name.removesuffix('.png').split('_')\n"
            "    return case, int(y[1:]), int(x[1:]), int(label[5:])",
        ),
        praise="You can now put a slide together from file names.",
    ),
    Number(
        question=(
            "**Exercise 2: how large is it?** In a case, x goes from 1 to 2951 in steps of 50, and a patch is 50 "
            "pixels wide. At 4 micrometers a pixel, how wide is this piece of tissue, in millimeters?"
        ),
        expected=12.0,
        hint="How many patches are side by side? The first begins at 1, the last at 2951.",
        right=("12", "12.0"),
        wrong=("11.8", "12000", "3", "0.2"),
        near={
            11.8: "The last patch begins at 2951 and is 50 pixels wide itself.",
            12000.0: "That is in micrometers.",
            3.0: "That is in thousands of pixels.",
            0.2: "That is one patch.",
        },
        tolerance=0.02,
        unit="mm",
        praise="60 patches of 0.2 mm.",
    ),
    Choice(
        question=(
            "**Exercise 3: what may you say?** You split this archive so that no case is on both sides. What may "
            "the report say?"
        ),
        options={
            "No patient is on both sides": (
                "Nothing in the archive ties a case to a patient; two cases may be of one person."
            ),
            "No case is on both sides": (
                "That is what you know. Whether two cases are of one patient, the archive does not "
                "say, and neither should you."
            ),
            "The two sides have nothing in common": (
                "They may share the laboratory, the scanner, the patient; you looked at cases only."
            ),
        },
        right=("No case is on both sides",),
        wrong=("No patient is on both sides", "The two sides have nothing in common"),
        hint="Which of these words do the file names contain?",
    ),
)
