// Cuts a text as lmtutor.text.tokenizers and lmtutor.text.byte_pairs do, in a page without a kernel. A function of the schemes
// that lmtutor.display.pieces.Pieces describes; it returns a function of the text. Tests compare the two on hundreds of texts.
(schemes) => {
  const SPECIAL = /<unk>|<eos>|<bos>|<pad>/g;
  // What Python takes for a blank; \s of JavaScript lacks \x1c to \x1f and \x85, and has \ufeff.
  const BLANK = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/;
  const atBlanks = (text) => text.split(BLANK).filter((part) => part);
  const endsInBlank = (text) => BLANK.test(text.slice(-1));

  const words = (text) => atBlanks(text.replace(SPECIAL, " $& ").replaceAll("\n", " <eos> "));

  const characters = (text) => text.match(/<unk>|<eos>|<bos>|<pad>|./gsu) ?? [];

  // NLTK's rules one after the other, over the whole text; it counts as one sentence.
  const QUOTES = { "“": "``", "”": "''", "‘": "`", "’": "'" };
  const treebank = (rules) => {
    const ready = rules.map(([pattern, flags, replacement]) => [new RegExp(pattern, `gu${flags}`), replacement]);
    return (text) => {
      const spaced = text.replace(SPECIAL, " $& ").replace(/[“”‘’]/g, (quote) => QUOTES[quote]);
      let cut = atBlanks(spaced).join(" ");
      for (const [pattern, replacement] of ready) cut = cut.replace(pattern, replacement);
      const tokens = atBlanks(cut);  // a text that does not end in a blank stops within a sentence that may go on
      return tokens.length && endsInBlank(text) ? [...tokens, "<eos>"] : tokens;
    };
  };

  // Each of the 256 bytes as one visible letter: itself where it is visible, else one from U+0100 on.
  const shown = [];
  for (let byte = 0, hidden = 0x100; byte < 256; byte++) {
    const visible = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
    shown.push(String.fromCharCode(visible ? byte : hidden++));
  }
  const RUN = /'(?:[stmd]|re|ve|ll)| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;

  const bpe = (merges) => {
    const ranks = new Map(merges.map((pair, rank) => [pair, rank]));
    const pair = (run) => {
      let pieces = Array.from(new TextEncoder().encode(run), (byte) => shown[byte]);
      for (;;) {  // join the pair that was learned first, wherever it stands
        let first = Infinity;
        for (let i = 1; i < pieces.length; i++) {
          first = Math.min(first, ranks.get(`${pieces[i - 1]} ${pieces[i]}`) ?? Infinity);
        }
        if (first === Infinity) return pieces;
        const joined = [];
        for (let i = 0; i < pieces.length; i++) {
          const both = i + 1 < pieces.length && ranks.get(`${pieces[i]} ${pieces[i + 1]}`) === first;
          joined.push(both ? pieces[i] + pieces[++i] : pieces[i]);
        }
        pieces = joined;
      }
    };
    return (text) => text.split(/(\n|<unk>|<eos>|<bos>|<pad>)/).flatMap((part, i) =>
      i % 2 ? (part === "\n" ? "<eos>" : part) : (part.match(RUN) ?? []).flatMap(pair));
  };

  const kinds = { words: () => words, characters: () => characters, treebank, bpe };
  const ready = schemes.map(({ label, kind, learned, types }) => [label, kinds[kind](learned), new Set(types)]);
  return (text) => [text, ...ready.map(([label, cut, known]) => {
    const tokens = cut(text), marked = tokens.map((token) => (known.has(token) ? token : `⟦${token}⟧`));
    return `${label}, ${tokens.length} tokens:\n${marked.join(" ")}`;
  })].join("\n\n");
}
