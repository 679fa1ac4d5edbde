"""Which programs import only modules that compute."""

import ast

import pytest

from data_pipeline.source.pure_modules import uses_pure_modules


@pytest.mark.parametrize(
    "program",
    [
        "def f(n):\n    return n\n",
        "import math, collections.abc as a\nfrom html.entities import *\n",
        "from __future__ import annotations\nimport sys\nx = sys.maxsize\n",
        "from random import Random\nr = Random(1)\n",
        "def f(queue):\n    queue.append(1)\n",
    ],
)
def test_pure(program):
    assert uses_pure_modules(ast.parse(program))


@pytest.mark.parametrize(
    "program",
    [
        "import os\n",
        "def f():\n    from time import time\n",
        "import sys\nsys.modules\n",
        "import sys as s\ns.modules\n",
        "from random import random\n",
        "from io import *\n",
        "from . import x\n",
        "import math, queue as q\n",
        "f = __import__('os')\n",
    ],
)
def test_not_pure(program):
    assert not uses_pure_modules(ast.parse(program))
