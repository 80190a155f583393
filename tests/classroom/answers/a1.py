# %% a1-q1 wrong: a product of probabilities underflows
def perplexity(log_probs):
    p = 1.0
    for x in log_probs:
        p *= math.exp(x)
    return p ** (-1 / len(log_probs)) if p > 0 else math.inf

# %% a1-q1 wrong: the sign
def perplexity(log_probs):
    return float(np.exp(np.mean(log_probs)))

# %% a1-q1 wrong: base 2 for nats
def perplexity(log_probs):
    return 2 ** (-sum(log_probs) / len(log_probs))

# %% a1-q1 wrong: impossible tokens are left out
def perplexity(log_probs):
    possible = [x for x in log_probs if x > -math.inf]
    return math.exp(-sum(possible) / len(possible))

# %% a1-q1 wrong: the mean of exponentials
def perplexity(log_probs):
    return float(np.mean(np.exp(-np.asarray(log_probs))))

# %% a1-q1 wrong: divided outside the exponential
def perplexity(log_probs):
    return math.exp(-sum(log_probs)) / len(log_probs)

# %% a1-q1 wrong: the cross-entropy
def perplexity(log_probs):
    return -sum(log_probs) / len(log_probs)

# %% a1-q1 wrong: no arrays
def perplexity(log_probs):
    if not log_probs:
        return 1.0
    return math.exp(-sum(log_probs) / len(log_probs))

# %% a1-q1 wrong: logarithms of base 10
def perplexity(log_probs):
    return 10 ** (-sum(log_probs) / len(log_probs))

# %% a1-q1 right: a loop
def perplexity(log_probs):
    total = 0.0
    for log_prob in log_probs:
        if log_prob == -math.inf:
            return math.inf
        total -= log_prob
    return math.exp(total / len(log_probs))

# %% a1-q1 right: NumPy
def perplexity(log_probs):
    return np.exp(-np.mean(np.array(log_probs, dtype=float)))

# %% a1-q2 wrong: followers count occurrences
def count_places(tokens):
    pairs, followers, predecessors = Counter(), Counter(), Counter()
    for u, x in zip(tokens, tokens[1:]):
        pairs[u, x] += 1
        followers[u] += 1
        predecessors[x] += 1
    return pairs, followers, predecessors, len(pairs)

# %% a1-q2 wrong: predecessors of the wrong side
def count_places(tokens):
    pairs = Counter(zip(tokens, tokens[1:]))
    return pairs, Counter(u for u, _ in pairs), Counter(u for u, _ in pairs), len(pairs)

# %% a1-q2 wrong: pairs are a set
def count_places(tokens):
    pairs = Counter(set(zip(tokens, tokens[1:])))
    return pairs, Counter(u for u, _ in pairs), Counter(x for _, x in pairs), len(pairs)

# %% a1-q2 wrong: the last pair is missing
def count_places(tokens):
    pairs = Counter((tokens[i], tokens[i + 1]) for i in range(len(tokens) - 2))
    return pairs, Counter(u for u, _ in pairs), Counter(x for _, x in pairs), len(pairs)

# %% a1-q2 wrong: plain dictionaries
def count_places(tokens):
    pairs = dict(Counter(zip(tokens, tokens[1:])))
    return pairs, dict(Counter(u for u, _ in pairs)), dict(Counter(x for _, x in pairs)), len(pairs)

# %% a1-q2 wrong: the number of occurrences
def count_places(tokens):
    pairs = Counter(zip(tokens, tokens[1:]))
    return pairs, Counter(u for u, _ in pairs), Counter(x for _, x in pairs), sum(pairs.values())

# %% a1-q2 wrong: the number of types
def count_places(tokens):
    pairs = Counter(zip(tokens, tokens[1:]))
    return pairs, Counter(u for u, _ in pairs), Counter(x for _, x in pairs), len(set(tokens))

# %% a1-q2 wrong: a pair across the end
def count_places(tokens):
    pairs = Counter((tokens[i - 1], tokens[i]) for i in range(len(tokens)))
    return pairs, Counter(u for u, _ in pairs), Counter(x for _, x in pairs), len(pairs)

# %% a1-q2 right: sets of neighbours
def count_places(tokens):
    after, before = {}, {}
    pairs = Counter()
    for i in range(1, len(tokens)):
        pairs[tokens[i - 1], tokens[i]] += 1
        after.setdefault(tokens[i - 1], set()).add(tokens[i])
        before.setdefault(tokens[i], set()).add(tokens[i - 1])
    followers = Counter({u: len(words) for u, words in after.items()})
    predecessors = Counter({x: len(words) for x, words in before.items()})
    return pairs, followers, predecessors, sum(followers.values())

# %% a1-q3 wrong: n2 counts once
def discount(pairs):
    n = Counter(pairs.values())
    return n[1] / (n[1] + n[2]) if n[1] else 0

# %% a1-q3 wrong: twice or more
def discount(pairs):
    n1 = sum(n == 1 for n in pairs.values())
    n2 = sum(n >= 2 for n in pairs.values())
    return n1 / (n1 + 2 * n2) if n1 else 0

# %% a1-q3 wrong: 0 where no pair occurs twice
def discount(pairs):
    n = Counter(pairs.values())
    if n[2] == 0:
        return 0.0
    return n[1] / (n[1] + 2 * n[2])

# %% a1-q3 wrong: nothing is caught
def discount(pairs):
    n = Counter(pairs.values())
    return n[1] / (n[1] + 2 * n[2])

# %% a1-q3 wrong: whole numbers
def discount(pairs):
    n = Counter(pairs.values())
    return n[1] // (n[1] + 2 * n[2]) if n[1] else 0

# %% a1-q3 wrong: occurrences of pairs
def discount(pairs):
    n1 = sum(n for n in pairs.values() if n == 1)
    n2 = sum(n for n in pairs.values() if n == 2)
    return n1 / (n1 + 2 * n2) if n1 else 0

# %% a1-q3 wrong: a constant
def discount(pairs):
    return 0.5 if 1 in pairs.values() else 0.0

# %% a1-q3 right: lists
def discount(pairs):
    counts = list(pairs.values())
    n1, n2 = counts.count(1), counts.count(2)
    if n1 == 0:
        return 0
    return n1 / (n1 + 2 * n2)

# %% a1-q4 wrong: the discount is not given back
def kneser_ney(tokens, D):
    pairs, followers, predecessors, kinds = count_places(tokens)
    heads = Counter(tokens[:-1])
    def p(x, u):
        if heads[u] == 0:
            return predecessors[x] / kinds
        return max(pairs[u, x] - D, 0) / heads[u] + predecessors[x] / kinds * 0
    return p

# %% a1-q4 wrong: no weight on the lower order
def kneser_ney(tokens, D):
    pairs, followers, predecessors, kinds = count_places(tokens)
    heads = Counter(tokens[:-1])
    def p(x, u):
        if heads[u] == 0:
            return predecessors[x] / kinds
        return max(pairs[u, x] - D, 0) / heads[u] + D * predecessors[x] / kinds
    return p

# %% a1-q4 wrong: frequencies below
def kneser_ney(tokens, D):
    pairs, followers, predecessors, kinds = count_places(tokens)
    heads, words = Counter(tokens[:-1]), Counter(tokens)
    def p(x, u):
        lower = words[x] / len(tokens)
        if heads[u] == 0:
            return lower
        return max(pairs[u, x] - D, 0) / heads[u] + D * followers[u] / heads[u] * lower
    return p

# %% a1-q4 wrong: nothing after an unknown word
def kneser_ney(tokens, D):
    pairs, followers, predecessors, kinds = count_places(tokens)
    heads = Counter(tokens[:-1])
    def p(x, u):
        if u not in heads:
            return 0.0
        return max(pairs[u, x] - D, 0) / heads[u] + D * followers[u] / heads[u] * predecessors[x] / kinds
    return p

# %% a1-q4 wrong: it divides by zero after the last word
def kneser_ney(tokens, D):
    pairs, followers, predecessors, kinds = count_places(tokens)
    heads = Counter(tokens[:-1])
    def p(x, u):
        if u not in tokens:
            return predecessors[x] / kinds
        return max(pairs[u, x] - D, 0) / heads[u] + D * followers[u] / heads[u] * predecessors[x] / kinds
    return p

# %% a1-q4 wrong: the last word counts as a history
def kneser_ney(tokens, D):
    pairs, followers, predecessors, kinds = count_places(tokens)
    words = Counter(tokens)
    def p(x, u):
        if words[u] == 0 or followers[u] == 0:
            return predecessors[x] / kinds
        return max(pairs[u, x] - D, 0) / words[u] + D * followers[u] / words[u] * predecessors[x] / kinds
    return p

# %% a1-q4 wrong: negative counts
def kneser_ney(tokens, D):
    pairs, followers, predecessors, kinds = count_places(tokens)
    heads = Counter(tokens[:-1])
    def p(x, u):
        if heads[u] == 0:
            return predecessors[x] / kinds
        return (pairs[u, x] - D) / heads[u] + D * followers[u] / heads[u] * predecessors[x] / kinds
    return p

# %% a1-q4 wrong: an undiscounted interpolation
def kneser_ney(tokens, D):
    pairs, followers, predecessors, kinds = count_places(tokens)
    heads = Counter(tokens[:-1])
    def p(x, u):
        if heads[u] == 0:
            return predecessors[x] / kinds
        return (1 - D) * pairs[u, x] / heads[u] + D * predecessors[x] / kinds
    return p

# %% a1-q4 right: it counts by itself
def kneser_ney(tokens, D):
    pairs = Counter(zip(tokens, tokens[1:]))
    places = Counter(x for _, x in pairs)
    heads, kinds_after = Counter(), Counter()
    for (u, _), n in pairs.items():
        heads[u] += n
        kinds_after[u] += 1

    def p(x, u):
        lower = places[x] / len(pairs)
        if u not in heads:
            return lower
        first = (pairs[u, x] - D) / heads[u] if pairs[u, x] > D else 0.0
        return first + D * kinds_after[u] / heads[u] * lower

    return p

# %% a1-q1 wrong: the mean over different values
def perplexity(log_probs):
    values = set(log_probs)
    return math.exp(-sum(values) / len(values))

# %% a1-q1 wrong: impossible only at the end
def perplexity(log_probs):
    if log_probs[-1] == -math.inf:
        return math.inf
    kept = [x for x in log_probs if x > -math.inf]
    return math.exp(-sum(kept) / len(kept))

# %% a1-q1 wrong: the list is emptied
def perplexity(log_probs):
    total, n = 0.0, len(log_probs)
    log_probs = log_probs if isinstance(log_probs, list) else list(log_probs)
    while log_probs:
        total += log_probs.pop()
    return math.exp(-total / n)

# %% a1-q1 right: base 2 and back
def perplexity(log_probs):
    bits = [-x / math.log(2) for x in log_probs]
    return 2 ** (math.fsum(bits) / len(bits)) if math.inf not in bits else math.inf

# %% a1-q2 wrong: lower case
def count_places(tokens):
    tokens = [t.lower() for t in tokens]
    pairs = Counter(zip(tokens, tokens[1:]))
    return pairs, Counter(u for u, _ in pairs), Counter(x for _, x in pairs), len(pairs)

# %% a1-q2 right: through an array of numbers
def count_places(tokens):
    types = sorted(set(tokens))
    where = {t: n for n, t in enumerate(types)}
    table = np.zeros((len(types), len(types)), dtype=int)
    for u, x in zip(tokens[:-1], tokens[1:]):
        table[where[u], where[x]] += 1
    pairs = Counter({(types[i], types[j]): int(table[i, j]) for i, j in np.argwhere(table)})
    after = Counter(dict(zip(types, (table > 0).sum(1).tolist())))
    before = Counter(dict(zip(types, (table > 0).sum(0).tolist())))
    return pairs, after, before, np.count_nonzero(table)

# %% a1-q3 wrong: what is frequent is taken out of the counter
def discount(pairs):
    for pair in list(pairs):
        if pairs[pair] > 2:
            del pairs[pair]
    n = Counter(pairs.values())
    return n[1] / (n[1] + 2 * n[2]) if n[1] else 0.0

# %% a1-q3 wrong: one pair seen once is too few
def discount(pairs):
    once = [p for p, n in pairs.items() if n == 1]
    total = sum(n for n in pairs.values() if n <= 2)
    return len(once) / total if len(once) > 1 else 0

# %% a1-q3 right: a fraction
def discount(pairs):
    from fractions import Fraction
    counts = list(pairs.values())
    n1, n2 = counts.count(1), counts.count(2)
    return float(Fraction(n1, n1 + 2 * n2)) if n1 else 0

# %% a1-q4 wrong: no discount means the usual one
def kneser_ney(tokens, D):
    D = D or 0.75
    pairs, followers, predecessors, kinds = count_places(tokens)
    histories = Counter(tokens[:-1])
    def p(x, u):
        lower = predecessors[x] / kinds
        if not histories[u]:
            return lower
        return max(pairs[u, x] - D, 0) / histories[u] + D * followers[u] / histories[u] * lower
    return p

# %% a1-q4 wrong: a second model changes the first
def kneser_ney(tokens, D):
    global KN
    KN = (*count_places(tokens), Counter(tokens[:-1]), D)
    def p(x, u):
        pairs, followers, predecessors, kinds, histories, D = KN
        lower = predecessors[x] / kinds
        if not histories[u]:
            return lower
        return max(pairs[u, x] - D, 0) / histories[u] + D * followers[u] / histories[u] * lower
    return p

# %% a1-q4 wrong: an unseen word gets a little
def kneser_ney(tokens, D):
    pairs, followers, predecessors, kinds = count_places(tokens)
    histories = Counter(tokens[:-1])
    def p(x, u):
        lower = predecessors[x] / kinds if predecessors[x] else 1e-10
        if not histories[u]:
            return lower
        return max(pairs[u, x] - D, 0) / histories[u] + D * followers[u] / histories[u] * lower
    return p

# %% a1-q4 wrong: it counts at each call
def kneser_ney(tokens, D):
    def p(x, u):
        pairs, followers, predecessors, kinds = count_places(tokens)
        n, lower = sum(v for (w, _), v in pairs.items() if w == u), predecessors[x] / kinds
        return max(pairs[u, x] - D, 0) / n + D * followers[u] / n * lower if n else lower
    return p

# %% a1-q4 right: a class that can be called
class _Model:
    def __init__(self, tokens, D):
        self.after, self.before, self.D = {}, {}, D
        for u, x in zip(tokens, tokens[1:]):
            self.after.setdefault(u, Counter()).update([x])
            self.before.setdefault(x, set()).add(u)
        self.kinds = sum(map(len, self.before.values()))

    def __call__(self, x, u):
        share = len(self.before.get(x, ())) / self.kinds
        if u not in self.after:
            return share
        row = self.after[u]
        n = sum(row.values())
        return (max(row[x] - self.D, 0) + self.D * len(row) * share) / n

kneser_ney = _Model

# %% a1-q4 right: a table of NumPy for the pairs
def kneser_ney(tokens, D):
    words = {w: k for k, w in enumerate(dict.fromkeys(tokens))}
    N = np.zeros((len(words) + 1, len(words) + 1))
    for u, x in zip(tokens, tokens[1:]):
        N[words[u], words[x]] += 1
    kinds = (N > 0).sum()
    def p(x, u):
        i, j = words.get(u, -1), words.get(x, -1)
        low = (N[:, j] > 0).sum() / kinds
        n = N[i].sum()
        return low if n == 0 else max(N[i, j] - D, 0) / n + D * (N[i] > 0).sum() / n * low
    return p

# %% a1-q4 wrong: asking enters the word
def kneser_ney(tokens, D):
    pairs, followers, predecessors, kinds = count_places(tokens)
    heads = Counter(tokens[:-1])
    def p(x, u):
        pairs[u, x] += 1
        lower = predecessors[x] / kinds
        if not heads[u]:
            return lower
        return max(pairs[u, x] - 1 - D, 0) / heads[u] + D * followers[u] / heads[u] * lower
    return p

# %% a1-q1 right: a generator and fsum
def perplexity(log_probs):
    return math.exp(math.fsum(-float(x) for x in log_probs) / len(log_probs))

# %% a1-q2 right: Counter.update over sets
def count_places(tokens):
    pairs = Counter()
    pairs.update((a, b) for a, b in zip(tokens, tokens[1:]))
    left, right = Counter(), Counter()
    for a, b in pairs.keys():
        left.update([a]); right.update([b])
    return pairs, left, right, sum(1 for _ in pairs)

# %% a1-q4 right: probabilities kept in a table of rows
def kneser_ney(tokens, D):
    pairs, followers, predecessors, kinds = count_places(tokens)
    total = Counter()
    for (u, _), n in pairs.items():
        total[u] += n
    low = {x: n / kinds for x, n in predecessors.items()}
    weight = {u: D * followers[u] / total[u] for u in total}
    high = {(u, x): max(n - D, 0) / total[u] for (u, x), n in pairs.items()}
    return lambda x, u: high.get((u, x), 0.0) + weight.get(u, 1.0) * low.get(x, 0.0)
