// A Transformer that runs in a page: chapter 08's, in layers, with what it carries from word to word. No library; bytes and
// matrices are those of lstm.js. The page around it is attending.js.
"use strict";

// Φ of gelu: how much of a standard normal variable lies below a. The series has positive terms only.
function below(a) {
  const x = Math.abs(a) / Math.SQRT2;
  if (x > 5) return a > 0 ? 1 : 0;
  let term = x, sum = x;
  for (let n = 1; term > 1e-12 * sum; n++) sum += term *= 2 * x * x / (2 * n + 1);
  return 0.5 + Math.sign(a) * sum * Math.exp(-x * x) / Math.sqrt(Math.PI);
}

function softmax(z) {
  const largest = z.reduce((a, b) => Math.max(a, b), -Infinity), e = z.map((value) => Math.exp(value - largest));
  const sum = e.reduce((a, b) => a + b, 0);
  return e.map((value) => value / sum);
}

// Mean 0 and variance 1, then the learned scale and shift.
function normalised(x, [scale, shift]) {
  const mean = x.reduce((a, b) => a + b, 0) / x.length;
  const spread = Math.sqrt(x.reduce((a, b) => a + (b - mean) ** 2, 0) / x.length + 1e-5);
  return x.map((value, j) => scale[j] * (value - mean) / spread + shift[j]);
}

// Pairs of units (j, j + d/2) of a head turned by angles that grow with the position t.
function turned(x, t) {
  const half = x.length / 2, out = new Float64Array(x.length);
  for (let j = 0; j < half; j++) {
    const angle = t * 10000 ** (-j / half), cos = Math.cos(angle), sin = Math.sin(angle);
    out[j] = x[j] * cos - x[j + half] * sin;
    out[j + half] = x[j] * sin + x[j + half] * cos;
  }
  return out;
}

class Transformer {
  constructor(file) {
    const array = arraysOf(file), matrix = (name) => new Matrix(array[`${name}.scale`], array[name]);
    const affine = (name) => ({W: matrix(`${name}.weight`), b: array[`${name}.bias`]});
    const norm = (name) => [array[`${name}.weight`], array[`${name}.bias`]];
    this.E = matrix("embedding.weight");
    this.b_y = array["head.bias"];
    this.last = norm("norm");
    this.layers = Array.from({length: file.layers}, (_, l) => ({
      norms: [norm(`layers.${l}.norms.0`), norm(`layers.${l}.norms.1`)],
      inner: affine(`layers.${l}.attention.inner`), outer: affine(`layers.${l}.attention.outer`),
      up: affine(`layers.${l}.feed_forward.0`), down: affine(`layers.${l}.feed_forward.2`),
    }));
    this.words = file.words.split(" ");
    this.ids = new Map(this.words.map((word, id) => [word, id]));
    Object.assign(this, {heads: file.heads, unk: file.unk, eos: file.eos});
  }

  // Read one word on from `carried`, the keys and values of each layer and head, which grow by its own. Returns its
  // weights, [layer][head][earlier step], and what the softmax over the words reads.
  step(id, carried) {
    const times = ({W, b}, x) => W.addProduct(x, Float64Array.from(b)), size = this.E.columns, d = size / this.heads;
    let x = Float64Array.from(this.E.row(id), (value) => Math.sqrt(size) * value);
    const weights = this.layers.map(({norms, inner, outer, up, down}, layer) => {
      const qkv = times(inner, normalised(x, norms[0])), mixed = new Float64Array(size);  // (8.2)
      const looks = Array.from({length: this.heads}, (_, head) => {
        const [q, k, v] = [0, 1, 2].map((n) => qkv.subarray(n * size + head * d, n * size + (head + 1) * d));
        const {keys, values} = carried[layer][head], t = keys.length, asked = turned(q, t);
        keys.push(turned(k, t));
        values.push(v);
        const a = softmax(keys.map((key) => key.reduce((sum, value, j) => sum + value * asked[j], 0) / Math.sqrt(d)));
        a.forEach((weight, s) => values[s].forEach((value, j) => { mixed[head * d + j] += weight * value; }));  // (8.1)
        return a;
      });
      const read = times(outer, mixed);                                                    // (8.3)
      x = x.map((value, j) => value + read[j]);
      const added = times(down, times(up, normalised(x, norms[1])).map((a) => a * below(a)));
      x = x.map((value, j) => value + added[j]);
      return looks;
    });
    return {weights, hidden: normalised(x, this.last)};
  }

  // Read a text from its beginning: for each word its weights, and the probability of every word to come after the last.
  read(ids) {
    const carried = this.layers.map(() => Array.from({length: this.heads}, () => ({keys: [], values: []})));
    const steps = ids.map((id) => this.step(id, carried));
    return {weights: steps.map(({weights}) => weights),
      p: softmax(this.E.addProduct(steps.at(-1).hidden, Float64Array.from(this.b_y)))};
  }
}
