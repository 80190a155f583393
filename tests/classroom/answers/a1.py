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
