"""Ordinary programs of many statement kinds, each statement on a line of its own, with calls."""

PROGRAMS = [
    (
        "LIMIT = 10\ndef f(numbers, start=0):\n    odd, even, out = 0, 0, []\n"
        "    for n in numbers:\n        if n % 2 and n < LIMIT:\n            odd += 1\n"
        "            n = 3 * n + 1\n        else:\n            even += 1\n            n = n // 2\n"
        "        out.append(n + start * 2)\n    return odd, even, out\n",
        ["f([7, 22, 11, 34, 17, 52, 26, 13])", "f([])", "f([1, 2], start=3)"],
    ),
    (
        "def fact(n):\n    if n <= 1:\n        return 1\n    return n * fact(n - 1)\n",
        ["fact(1)", "fact(6)"],
    ),
    (
        "def f(text, sep):\n    parts = text.split(sep)\n    seen = {}\n"
        "    for i, p in enumerate(parts):\n"
        "        seen[p.strip()] = seen.get(p.strip(), 0) + len(p) * i\n"
        "    best = max(seen.values())\n"
        "    return [k for k in seen if seen[k] == best], best - 1\n",
        ["f('a, b,a , c', ',')", "f('x', ' ')"],
    ),
    (
        "def f(s, k):\n    while s and k > 0:\n        if s[0] == s[-1]:\n            s = s[1:-1]\n"
        "        else:\n            break\n        k -= 1\n"
        "    total = sum(ord(c) - 97 for c in s)\n"
        "    return s.upper().replace('B', 'x') + str(total)\n",
        ["f('abccba', 2)", "f('ab', 3)", "f('', 1)"],
    ),
    (
        "def gen(n):\n    for i in range(n):\n        yield i * 2\n\ndef f(a):\n    out = []\n"
        "    for x in gen(a):\n        out.append(x)\n    return out + [a]\n",
        ["f(3)", "f(0)"],
    ),
    (
        "def f(items):\n    total = 0\n    seen = set()\n    for x in items:\n        try:\n"
        "            v = int(x)\n        except (ValueError, TypeError):\n            total -= 1\n"
        "            continue\n        if v in seen:\n            break\n        seen.add(v)\n"
        "        total += v\n    del items[0]\n    return total, sorted(seen)\n",
        ["f(['2', 'x', None, '7', '2', '9'])", "f(['1'])"],
    ),
    (
        "def f(grid):\n    rows, cols = len(grid), len(grid[0])\n"
        "    out = [[0] * rows for _ in range(cols)]\n    for r in range(rows):\n"
        "        for c in range(cols):\n            out[c][r] = grid[r][c]\n    return out\n",
        ["f([[1, 2, 3], [4, 5, 6]])", "f([[1]])"],
    ),
    (
        "def f(n):\n    sieve = [True] * (n + 1)\n    sieve[0] = sieve[1] = False\n    i = 2\n"
        "    while i * i <= n:\n        if sieve[i]:\n"
        "            for j in range(i * i, n + 1, i):\n                sieve[j] = False\n"
        "        i += 1\n    return [i for i, ok in enumerate(sieve) if ok]\n",
        ["f(20)", "f(3)"],
    ),
    (
        "def outer(items, limit=3):\n    total = 0\n\n    def clip(x):\n"
        "        return min(x, limit)\n\n    for item in items:\n        total += clip(item)\n"
        "        if total > 7:\n            break\n    return total\n",
        ["outer([5, 1, 9, 5, 5])", "outer([], 1)"],
    ),
    (
        "def f(x):\n    match x:\n        case [a, b] if a > b:\n            return a\n"
        "        case {'k': v}:\n            return v\n        case [a, *rest]:\n"
        "            return a + len(rest)\n        case _:\n            return -1\n",
        ["f([1, 2, 5])", "f([3, 1])", "f({'k': 4})", "f(7)", "f([1, 2])"],
    ),
    (
        "def f(xs, n):\n    ys = xs\n    ys.sort()\n    zs = list(reversed(ys))\n"
        "    zs[n] += ys[n] * 2\n    a, b = zs[0], zs[-1]\n    a, b = b, a\n"
        "    return xs, zs, (a + b) * (a - b), not a\n",
        ["f([3, 1, 2], 1)", "f([0], 0)"],
    ),
    (
        "def f(words):\n    index = {w: len(w) for w in words}\n"
        "    longest = max(words, key=lambda w: (index[w], w))\n    short = ''\n"
        "    for w in sorted(words, reverse=True):\n"
        "        short = w[0] + short if w != longest else short\n"
        "    return f'{short}-{longest!r}' if short else None\n",
        ["f(['kiwi', 'fig', 'apple'])", "f(['a'])"],
    ),
]
RUNS = [(program, call) for program, calls in PROGRAMS for call in calls]
