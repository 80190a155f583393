# %% a5-q1 wrong: split at blanks
def tokenize(text):
    return text.replace("\n", " <eos> ").split()

# %% a5-q1 wrong: line ends are lost
def tokenize(text):
    return re.findall(r"<unk>|<eos>|[^\W\d_]+(?:['’-][^\W\d_]+)*|\d+(?:[.,]\d+)*|[^\w\s]|_", text)

# %% a5-q1 wrong: letters and digits together
def tokenize(text):
    tokens = re.findall(r"\n|<unk>|<eos>|\w+(?:['-]\w+)*|[^\w\s]", text)
    return ["<eos>" if t == "\n" else t for t in tokens]

# %% a5-q1 wrong: a to z
def tokenize(text):
    tokens = re.findall(r"\n|<unk>|<eos>|[A-Za-z]+(?:['-][A-Za-z]+)*|\d+(?:[.,]\d+)*|\S", text)
    return ["<eos>" if t == "\n" else t for t in tokens]

# %% a5-q1 wrong: lower case
def tokenize(text):
    tokens = re.findall(r"\n|<unk>|<eos>|[^\W\d_]+(?:['-][^\W\d_]+)*|\d+(?:[.,]\d+)*|\S", text.lower())
    return ["<eos>" if t == "\n" else t for t in tokens]

# %% a5-q1 wrong: `<unk>` is read after the signs
def tokenize(text):
    tokens = re.findall(r"\n|[^\W\d_]+(?:['-][^\W\d_]+)*|\d+(?:[.,]\d+)*|\S|<unk>|<eos>", text)
    return ["<eos>" if t == "\n" else t for t in tokens]

# %% a5-q1 wrong: one mark inside a word at most
def tokenize(text):
    tokens = re.findall(r"\n|<unk>|<eos>|[^\W\d_]+(?:['-][^\W\d_]+)?|\d+(?:[.,]\d+)*|\S", text)
    return ["<eos>" if t == "\n" else t for t in tokens]

# %% a5-q1 wrong: a number keeps its full stop
def tokenize(text):
    tokens = re.findall(r"\n|<unk>|<eos>|[^\W\d_]+(?:['-][^\W\d_]+)*|\d[\d.,]*|\S", text)
    return ["<eos>" if t == "\n" else t for t in tokens]

# %% a5-q1 wrong: marks at the edge of a word
def tokenize(text):
    tokens = re.findall(r"\n|<unk>|<eos>|[^\W\d_'-]?(?:[^\W\d_]|['-])+|\d+(?:[.,]\d+)*|\S", text)
    return ["<eos>" if t == "\n" else t for t in tokens]

# %% a5-q1 wrong: signs that stand together are one token
def tokenize(text):
    tokens = re.findall(r"\n|<unk>|<eos>|[^\W\d_]+(?:['-][^\W\d_]+)*|\d+(?:[.,]\d+)*|[^\w\s]+|_", text)
    return ["<eos>" if t == "\n" else t for t in tokens]

# %% a5-q1 wrong: empty lines count once
def tokenize(text):
    tokens = re.findall(r"\n+|<unk>|<eos>|[^\W\d_]+(?:['-][^\W\d_]+)*|\d+(?:[.,]\d+)*|\S", text)
    return ["<eos>" if t.startswith("\n") else t for t in tokens]

# %% a5-q1 right: a loop over characters
def tokenize(text):
    tokens, i = [], 0
    while i < len(text):
        if text[i] == "\n":
            tokens.append("<eos>")
        elif text.startswith(("<unk>", "<eos>"), i):
            tokens.append(text[i : i + 5])
            i += 4
        elif text[i].isalpha() or text[i].isdigit():
            kind, inside = (str.isalpha, "'’-") if text[i].isalpha() else (str.isdigit, ".,")
            end = i + 1
            while end < len(text):
                if kind(text[end]):
                    end += 1
                elif text[end] in inside and end + 1 < len(text) and kind(text[end + 1]):
                    end += 2
                else:
                    break
            tokens.append(text[i:end])
            i = end - 1
        elif not text[i].isspace():
            tokens.append(text[i])
        i += 1
    return tokens

# %% a5-q1 right: line by line
def tokenize(text):
    words = re.compile(r"<unk>|<eos>|[^\W\d_]+(?:['’\-][^\W\d_]+)*|[0-9]+(?:[.,][0-9]+)*|\S")
    out = []
    for n, line in enumerate(text.split("\n")):
        out += ["<eos>"] * (n > 0) + words.findall(line)
    return out

# %% a5-q2 wrong: `<unk>` twice
def build_vocabulary(tokens, min_count):
    counts = Counter(tokens)
    return ["<unk>"] + [t for t, n in counts.most_common() if n >= min_count]

def oov_rate(tokens, vocabulary):
    return sum(t not in vocabulary or t == "<unk>" for t in tokens) / len(tokens)

# %% a5-q2 wrong: ties as they come
def build_vocabulary(tokens, min_count):
    counts = Counter(t for t in tokens if t != "<unk>")
    return ["<unk>"] + [t for t, n in counts.most_common() if n >= min_count]

def oov_rate(tokens, vocabulary):
    return sum(t not in vocabulary or t == "<unk>" for t in tokens) / len(tokens)

# %% a5-q2 wrong: more often than asked
def build_vocabulary(tokens, min_count):
    counts = Counter(t for t in tokens if t != "<unk>")
    return ["<unk>"] + sorted([t for t in counts if counts[t] > min_count], key=lambda t: (-counts[t], t))

def oov_rate(tokens, vocabulary):
    return sum(t not in vocabulary or t == "<unk>" for t in tokens) / len(tokens)

# %% a5-q2 wrong: in alphabetical order
def build_vocabulary(tokens, min_count):
    counts = Counter(tokens)
    return ["<unk>"] + sorted(t for t in counts if counts[t] >= min_count and t != "<unk>")

def oov_rate(tokens, vocabulary):
    return sum(t not in vocabulary or t == "<unk>" for t in tokens) / len(tokens)

# %% a5-q2 wrong: the rare ones first
def build_vocabulary(tokens, min_count):
    counts = Counter(tokens)
    return ["<unk>"] + sorted((t for t in counts if counts[t] >= min_count and t != "<unk>"), key=lambda t: (counts[t], t))

def oov_rate(tokens, vocabulary):
    return sum(t not in vocabulary or t == "<unk>" for t in tokens) / len(tokens)

# %% a5-q2 wrong: `<unk>` counts as known
def build_vocabulary(tokens, min_count):
    counts = Counter(tokens)
    return ["<unk>"] + sorted((t for t in counts if counts[t] >= min_count and t != "<unk>"), key=lambda t: (-counts[t], t))

def oov_rate(tokens, vocabulary):
    return sum(t not in vocabulary for t in tokens) / len(tokens)

# %% a5-q2 wrong: types instead of tokens
def build_vocabulary(tokens, min_count):
    counts = Counter(tokens)
    return ["<unk>"] + sorted((t for t in counts if counts[t] >= min_count and t != "<unk>"), key=lambda t: (-counts[t], t))

def oov_rate(tokens, vocabulary):
    types = set(tokens)
    return len(types - (set(vocabulary) - {"<unk>"})) / len(types)

# %% a5-q2 right: grouped by count
def build_vocabulary(tokens, min_count):
    counts = Counter(tokens)
    counts.pop("<unk>", None)
    kept = sorted(t for t in counts if counts[t] >= min_count)
    kept.sort(key=counts.get, reverse=True)
    return ["<unk>"] + kept

def oov_rate(tokens, vocabulary):
    known = [t for t in tokens if t != "<unk>" and t in vocabulary]
    return 1 - len(known) / len(tokens)

# %% a5-q3 wrong: words count once
def learn_merges(words, n):
    merges = []
    for _ in range(n):
        pairs = Counter()
        for word in words:
            pieces = apply_merges(word, merges)
            pairs.update(zip(pieces, pieces[1:]))
        if not pairs:
            break
        top = max(pairs.values())
        merges.append(min(p for p in pairs if pairs[p] == top))
    return merges

def apply_merges(word, merges):
    pieces = list(word)
    for a, b in merges:
        i = 0
        while i < len(pieces) - 1:
            if pieces[i] == a and pieces[i + 1] == b:
                pieces[i : i + 2] = [a + b]
            i += 1
    return pieces

# %% a5-q3 wrong: ties as they come
def learn_merges(words, n):
    merges = []
    for _ in range(n):
        pairs = Counter()
        for word, count in words.items():
            pieces = apply_merges(word, merges)
            for pair in zip(pieces, pieces[1:]):
                pairs[pair] += count
        if not pairs:
            break
        merges.append(pairs.most_common(1)[0][0])
    return merges

def apply_merges(word, merges):
    pieces = list(word)
    for a, b in merges:
        i = 0
        while i < len(pieces) - 1:
            if pieces[i] == a and pieces[i + 1] == b:
                pieces[i : i + 2] = [a + b]
            i += 1
    return pieces

# %% a5-q3 wrong: pairs are counted once, at the beginning
def learn_merges(words, n):
    pairs = Counter()
    for word, count in words.items():
        for pair in zip(word, word[1:]):
            pairs[pair] += count
    return sorted(pairs, key=lambda p: (-pairs[p], p))[:n]

def apply_merges(word, merges):
    pieces = list(word)
    for a, b in merges:
        i = 0
        while i < len(pieces) - 1:
            if pieces[i] == a and pieces[i + 1] == b:
                pieces[i : i + 2] = [a + b]
            i += 1
    return pieces

# %% a5-q3 wrong: it never stops early
def learn_merges(words, n):
    merges = []
    for _ in range(n):
        pairs = Counter()
        for word, count in words.items():
            pieces = apply_merges(word, merges)
            for pair in zip(pieces, pieces[1:]):
                pairs[pair] += count
        top = max(pairs.values())
        merges.append(min(p for p in pairs if pairs[p] == top))
    return merges

def apply_merges(word, merges):
    pieces = list(word)
    for a, b in merges:
        i = 0
        while i < len(pieces) - 1:
            if pieces[i] == a and pieces[i + 1] == b:
                pieces[i : i + 2] = [a + b]
            i += 1
    return pieces

# %% a5-q3 wrong: only the first place of a pair is merged
def learn_merges(words, n):
    merges = []
    for _ in range(n):
        pairs = Counter()
        for word, count in words.items():
            pieces = apply_merges(word, merges)
            for pair in zip(pieces, pieces[1:]):
                pairs[pair] += count
        if not pairs:
            break
        top = max(pairs.values())
        merges.append(min(p for p in pairs if pairs[p] == top))
    return merges

def apply_merges(word, merges):
    pieces = list(word)
    for a, b in merges:
        for i in range(len(pieces) - 1):
            if pieces[i] == a and pieces[i + 1] == b:
                pieces[i : i + 2] = [a + b]
                break
    return pieces

# %% a5-q3 wrong: greedy, whatever was learned first
def learn_merges(words, n):
    merges, cut = [], {w: list(w) for w in words}
    for _ in range(n):
        pairs = Counter()
        for word, count in words.items():
            for pair in zip(cut[word], cut[word][1:]):
                pairs[pair] += count
        if not pairs:
            break
        top = max(pairs.values())
        a, b = min(p for p in pairs if pairs[p] == top)
        merges.append((a, b))
        for pieces in cut.values():
            i = 0
            while i < len(pieces) - 1:
                if pieces[i] == a and pieces[i + 1] == b:
                    pieces[i : i + 2] = [a + b]
                i += 1
    return merges

def apply_merges(word, merges):
    pieces, i = list(word), 0
    while i < len(pieces) - 1:
        if (pieces[i], pieces[i + 1]) in merges:
            pieces[i : i + 2] = [pieces[i] + pieces[i + 1]]
            i = 0
        else:
            i += 1
    return pieces

# %% a5-q3 wrong: by replacing in a string
def learn_merges(words, n):
    merges = []
    for _ in range(n):
        pairs = Counter()
        for word, count in words.items():
            pieces = apply_merges(word, merges)
            for pair in zip(pieces, pieces[1:]):
                pairs[pair] += count
        if not pairs:
            break
        top = max(pairs.values())
        merges.append(min(p for p in pairs if pairs[p] == top))
    return merges

def apply_merges(word, merges):
    text = " ".join(word)
    for a, b in merges:
        text = text.replace(a + " " + b, a + b)
    return text.split(" ")

# %% a5-q3 right: a stack
def learn_merges(words, n):
    merges = []
    for _ in range(n):
        table = Counter()
        for word, count in words.items():
            pieces = apply_merges(word, merges)
            for k in range(len(pieces) - 1):
                table[pieces[k], pieces[k + 1]] += count
        if len(table) == 0:
            return merges
        merges.append(sorted(table.items(), key=lambda item: (-item[1], item[0]))[0][0])
    return merges

def apply_merges(word, merges):
    pieces = list(word)
    for pair in merges:
        out = []
        for piece in pieces:
            out.append(piece)
            if len(out) > 1 and tuple(out[-2:]) == pair:
                out[-2:] = ["".join(pair), None]
        pieces = [p for p in out if p is not None]
    return pieces

# %% a5-q4 wrong: no end signs
def nats_per_character(nats, text, unknown_words, alphabet_size):
    letters = sum(len(w) for w in unknown_words)
    return (nats + letters * math.log(alphabet_size + 1)) / len(text)

# %% a5-q4 wrong: A instead of A + 1
def nats_per_character(nats, text, unknown_words, alphabet_size):
    signs = sum(len(w) + 1 for w in unknown_words)
    return (nats + signs * math.log(alphabet_size)) / len(text)

# %% a5-q4 wrong: bytes
def nats_per_character(nats, text, unknown_words, alphabet_size):
    signs = sum(len(w) + 1 for w in unknown_words)
    return (nats + signs * math.log(alphabet_size + 1)) / len(text.encode("utf-8"))

# %% a5-q4 wrong: blanks are no characters
def nats_per_character(nats, text, unknown_words, alphabet_size):
    signs = sum(len(w) + 1 for w in unknown_words)
    return (nats + signs * math.log(alphabet_size + 1)) / len(text.replace(" ", ""))

# %% a5-q4 wrong: each word once
def nats_per_character(nats, text, unknown_words, alphabet_size):
    signs = sum(len(w) + 1 for w in set(unknown_words))
    return (nats + signs * math.log(alphabet_size + 1)) / len(text)

# %% a5-q4 wrong: bits
def nats_per_character(nats, text, unknown_words, alphabet_size):
    signs = sum(len(w) + 1 for w in unknown_words)
    return (nats + signs * math.log2(alphabet_size + 1)) / len(text)

# %% a5-q4 wrong: spelling on its own characters
def nats_per_character(nats, text, unknown_words, alphabet_size):
    signs = sum(len(w) + 1 for w in unknown_words)
    return nats / len(text) + (signs * math.log(alphabet_size + 1) / signs if signs else 0)

# %% a5-q4 wrong: a mean a token
def nats_per_character(nats, text, unknown_words, alphabet_size):
    signs = sum(len(w) + 1 for w in unknown_words)
    return (nats + signs * math.log(alphabet_size + 1)) / len(text.split())

# %% a5-q4 right: NumPy
def nats_per_character(nats, text, unknown_words, alphabet_size):
    total = float(nats)
    for word in unknown_words:
        total += (len(word) + 1) * np.log(1 + alphabet_size)
    return total / len(text)

# %% a5-q1 wrong: a line end at the end of the text is lost
def tokenize(text):
    pattern = r"<unk>|<eos>|[^\W\d_]+(?:['’-][^\W\d_]+)*|\d+(?:[.,]\d+)*|\S"
    lines = [re.findall(pattern, line) for line in text.split("\n")]
    if lines and not lines[-1]:
        lines.pop()
    tokens = []
    for n, line in enumerate(lines):
        tokens += (["<eos>"] if n else []) + line
    return tokens

# %% a5-q1 wrong: numbers as English writes them
def tokenize(text):
    pattern = r"<unk>|<eos>|[^\W\d_]+(?:['’-][^\W\d_]+)*|\d{1,3}(?:,\d{3})*(?:\.\d+)?|\S"
    return re.findall(pattern, text.replace("\n", " <eos> "))

# %% a5-q1 wrong: tabs are tokens
def tokenize(text):
    pattern = r"<unk>|<eos>|[^\W\d_]+(?:['’-][^\W\d_]+)*|\d+(?:[.,]\d+)*|[^ ]"
    return re.findall(pattern, text.replace("\n", " <eos> "))

# %% a5-q1 wrong: whatever stands in angle brackets
def tokenize(text):
    pattern = r"<\w+>|[^\W\d_]+(?:['’-][^\W\d_]+)*|\d+(?:[.,]\d+)*|\S"
    return re.findall(pattern, text.replace("\n", " <eos> "))

# %% a5-q2 wrong: ties backwards
def build_vocabulary(tokens, min_count):
    counts = Counter(tokens)
    del counts["<unk>"]
    kept = [t for t in counts if counts[t] >= min_count]
    return ["<unk>", *sorted(kept, key=lambda t: (counts[t], t), reverse=True)]
def oov_rate(tokens, vocabulary):
    known = set(vocabulary) - {"<unk>"}
    return sum(t not in known for t in tokens) / len(tokens)

# %% a5-q2 wrong: a share of the vocabulary
def build_vocabulary(tokens, min_count):
    counts = Counter(t for t in tokens if t != "<unk>")
    return ["<unk>", *sorted((t for t in counts if counts[t] >= min_count), key=lambda t: (-counts[t], t))]
def oov_rate(tokens, vocabulary):
    known = set(vocabulary) - {"<unk>"}
    return sum(t not in known for t in tokens) / len(vocabulary)

# %% a5-q2 wrong: capitals do not matter
def build_vocabulary(tokens, min_count):
    counts = Counter(t.lower() for t in tokens if t != "<unk>")
    return ["<unk>", *sorted((t for t in counts if counts[t] >= min_count), key=lambda t: (-counts[t], t))]
def oov_rate(tokens, vocabulary):
    known = set(vocabulary) - {"<unk>"}
    return sum(t.lower() not in known for t in tokens) / len(tokens)

# %% a5-q3 wrong: of equal pairs the last one
def learn_merges(words, n):
    pieces, merges = {w: list(w) for w in words}, []
    while len(merges) < n:
        pairs = Counter()
        for word, count in words.items():
            for pair in zip(pieces[word], pieces[word][1:]):
                pairs[pair] += count
        if not pairs:
            break
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        pieces = {word: apply_merges(word, merges) for word in words}
    return merges
def apply_merges(word, merges):
    parts = list(word)
    for pair in merges:
        n = 0
        while n < len(parts) - 1:
            if (parts[n], parts[n + 1]) == pair:
                parts[n : n + 2] = ["".join(pair)]
            n += 1
    return parts

# %% a5-q3 wrong: from right to left
def learn_merges(words, n):
    pieces, merges = {w: list(w) for w in words}, []
    while len(merges) < n:
        pairs = Counter()
        for word, count in words.items():
            for pair in zip(pieces[word], pieces[word][1:]):
                pairs[pair] += count
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        pieces = {word: apply_merges(word, merges) for word in words}
    return merges
def apply_merges(word, merges):
    parts = list(word)
    for pair in merges:
        n = len(parts) - 2
        while n >= 0:
            if n + 1 < len(parts) and (parts[n], parts[n + 1]) == pair:
                parts[n : n + 2] = ["".join(pair)]
            n -= 1
    return parts

# %% a5-q3 wrong: the longest merges first
def learn_merges(words, n):
    pieces, merges = {w: list(w) for w in words}, []
    while len(merges) < n:
        pairs = Counter()
        for word, count in words.items():
            for pair in zip(pieces[word], pieces[word][1:]):
                pairs[pair] += count
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        for word, parts in pieces.items():
            done = []
            for part in parts:
                if done and (done[-1], part) == best:
                    done[-1] += part
                else:
                    done.append(part)
            pieces[word] = done
    return merges
def apply_merges(word, merges):
    known = {a + b for a, b in merges}
    parts = []
    while word:
        size = next((s for s in range(len(word), 1, -1) if word[:s] in known), 1)
        parts.append(word[:size])
        word = word[size:]
    return parts

# %% a5-q4 wrong: one end sign for all words
def nats_per_character(nats, text, unknown_words, alphabet_size):
    letters = sum(map(len, unknown_words)) + (1 if unknown_words else 0)
    return (nats + letters * math.log(alphabet_size + 1)) / len(text)

# %% a5-q4 wrong: the spelling alone
def nats_per_character(nats, text, unknown_words, alphabet_size):
    spelling = sum(len(w) + 1 for w in unknown_words) * math.log(alphabet_size + 1)
    return spelling / len(text) if unknown_words else nats / len(text)

# %% a5-q4 wrong: the end sign costs one nat
def nats_per_character(nats, text, unknown_words, alphabet_size):
    return (nats + sum(len(w) * math.log(alphabet_size + 1) + 1 for w in unknown_words)) / len(text)

# %% a5-q1 right: scanned by hand
def tokenize(text):
    def letter(c):
        return c.isalpha()
    tokens, n = [], 0
    while n < len(text):
        c = text[n]
        if c == "\n":
            tokens.append("<eos>")
            n += 1
        elif c.isspace():
            n += 1
        elif text[n : n + 5] in ("<unk>", "<eos>"):
            tokens.append(text[n : n + 5])
            n += 5
        elif letter(c) or c.isdecimal():
            kind, inside = (letter, "'’-") if letter(c) else (str.isdecimal, ".,")
            end = n + 1
            while end < len(text) and (kind(text[end]) or text[end] in inside and end + 1 < len(text) and kind(text[end + 1])):
                end += 1
            tokens.append(text[n:end])
            n = end
        else:
            tokens.append(c)
            n += 1
    return tokens

# %% a5-q3 right: the pair of the lowest rank, again and again
def learn_merges(words, n):
    split, merges = [(tuple(word), count) for word, count in words.items()], []
    for _ in range(n):
        tally = {}
        for parts, count in split:
            for pair in zip(parts, parts[1:]):
                tally[pair] = tally.get(pair, 0) + count
        if not tally:
            break
        most = max(tally.values())
        merges.append(min(pair for pair, count in tally.items() if count == most))
        split = [(tuple(_join(parts, merges[-1])), count) for parts, count in split]
    return merges
def _join(parts, pair):
    out, n = [], 0
    while n < len(parts):
        if tuple(parts[n : n + 2]) == tuple(pair):
            out.append(parts[n] + parts[n + 1])
            n += 2
        else:
            out.append(parts[n])
            n += 1
    return out
def apply_merges(word, merges):
    parts = list(word)
    for pair in merges:
        parts = _join(parts, pair)
    return parts

# %% a5-q3 wrong: pairs seen once are not merged
def learn_merges(words, n):
    pieces, merges = {w: list(w) for w in words}, []
    for _ in range(n):
        pairs = Counter()
        for w, p in pieces.items():
            for pair in zip(p, p[1:]):
                pairs[pair] += words[w]
        if not pairs or (max(pairs.values()) < 2 and merges):
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        pieces = {w: apply_merges(w, merges) for w in words}
    return merges

def apply_merges(word, merges):
    p = list(word)
    for a, b in merges:
        i = 0
        while i < len(p) - 1:
            if (p[i], p[i + 1]) == (a, b):
                p[i : i + 2] = [a + b]
            i += 1
    return p

# %% a5-q1 right: verbose, with a scanner
def tokenize(text):
    rule = re.compile(r"""(?P<end>\n) | <unk> | <eos> | [^\W\d_]+ (?: ['’\-] [^\W\d_]+ )* | \d+ (?: [.,] \d+ )* | \S""", re.X)
    return ["<eos>" if m["end"] else m[0] for m in rule.finditer(text)]

# %% a5-q2 right: most_common, sorted twice
def build_vocabulary(tokens, min_count):
    n = Counter(t for t in tokens if t != "<unk>")
    types = sorted(t for t, k in n.items() if k >= min_count)
    types.sort(key=lambda t: n[t], reverse=True)
    return ["<unk>", *types]

def oov_rate(tokens, vocabulary):
    known = {t for t in vocabulary if t != "<unk>"}
    return float(np.mean([t not in known for t in tokens]))
