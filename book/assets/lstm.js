// A language model that runs in a page: chapter 03's LSTM, in layers, with chapter 07's cache beside it. No library.
// The page around it is playground.js.
"use strict";

// ---------------------------------------------------------------------------------------------- the model's numbers

const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~";

// Five characters are a number in base 85, which is four bytes.
function bytesOf(text) {
  const digit = new Uint8Array(128);
  for (let k = 0; k < 85; k++) digit[DIGITS.charCodeAt(k)] = k;
  const bytes = new DataView(new ArrayBuffer(text.length / 5 * 4));
  for (let from = 0, to = 0; from < text.length; from += 5, to += 4) {
    let number = 0;
    for (let k = from; k < from + 5; k++) number = number * 85 + digit[text.charCodeAt(k)];
    bytes.setUint32(to, number);
  }
  return bytes.buffer;
}

// A matrix whose row r is scale[r] times a row of whole numbers from -127 to 127.
class Matrix {
  constructor(scale, whole) {
    Object.assign(this, {scale, whole, rows: scale.length, columns: whole.length / scale.length});
  }
  row(r) {
    const {scale, whole, columns} = this;
    return Float32Array.from(whole.subarray(r * columns, (r + 1) * columns), (q) => scale[r] * q);
  }
  // result[r] += (row r) · x
  addProduct(x, result) {
    const {scale, whole, rows, columns} = this;
    for (let r = 0, k = 0; r < rows; r++) {
      let sum = 0;
      for (let j = 0; j < columns; j++, k++) sum += whole[k] * x[j];
      result[r] += scale[r] * sum;
    }
    return result;
  }
}

// ------------------------------------------------------------------------------------------------------ the equations

const sigmoid = (a) => 1 / (1 + Math.exp(-a));

class LSTM {
  constructor(file) {
    const buffer = bytesOf(file.data), array = {};
    let at = 0;
    for (const [name, type, length] of file.arrays) {
      array[name] = type === "int8" ? new Int8Array(buffer, at, length) : new Float32Array(buffer, at, length);
      at += array[name].byteLength;
    }
    const matrix = (name) => new Matrix(array[name + ".scale"], array[name]);
    this.E = matrix("E");  // reads words and writes them: the weights are tied
    this.b_y = array.b_y;
    this.layers = Array.from({length: file.layers}, (_, l) =>
      ({W_x: matrix("W_x" + l), W_h: matrix("W_h" + l), b: array["b" + l]}));
    this.words = file.words.split(" ");
    this.ids = new Map(this.words.map((word, id) => [word, id]));
    Object.assign(this, {name: file.name, unk: file.unk, eos: file.eos});
  }

  initialState() {
    return this.layers.map(({W_h}) => ({h: new Float32Array(W_h.columns), c: new Float32Array(W_h.columns)}));
  }

  // One word x: the new state of each layer, by (3.1) to (3.6) without peepholes.
  step(x, state) {
    let below = this.E.row(x);  // e_t for the first layer, the h_t of the layer below for the others
    return this.layers.map(({W_x, W_h, b}, layer) => {
      const old = state[layer], H = old.h.length;
      const net = W_h.addProduct(old.h, W_x.addProduct(below, Float32Array.from(b)));  // rows i, f, g, o
      const h = new Float32Array(H), c = new Float32Array(H);
      for (let j = 0; j < H; j++) {
        const i = sigmoid(net[j]);               // (3.1)
        const f = sigmoid(net[H + j]);           // (3.2)
        const g = Math.tanh(net[2 * H + j]);     // (3.3)
        c[j] = f * old.c[j] + i * g;             // (3.4)
        const o = sigmoid(net[3 * H + j]);       // (3.5)
        h[j] = o * Math.tanh(c[j]);              // (3.6)
      }
      below = h;
      return {h, c};
    });
  }

  // The probability of every word to come, from the top layer's h: (3.7) and the softmax.
  probabilities(h) {
    const z = this.E.addProduct(h, Float32Array.from(this.b_y));
    const largest = z.reduce((a, b) => Math.max(a, b), -Infinity);
    let sum = 0;
    for (let v = 0; v < z.length; v++) sum += z[v] = Math.exp(z[v] - largest);
    return z.map((e) => e / sum);
  }
}

// A text as the model has read it: one step a word, the first of them the end of a line before the text.
// cache: null, or {window, theta, lam}.
class Reading {
  constructor(model) {
    this.model = model;
    this.steps = [this.stepOf(model.eos, model.initialState())];
    this.p = model.probabilities(this.steps[0].h);  // of the word after the last step, by the model alone
  }
  stepOf(id, before) {
    const state = this.model.step(id, before);
    return {id, state, h: state.at(-1).h};
  }
  // Forget all but the first words.
  keep(count) {
    if (count + 1 >= this.steps.length) return;
    this.steps.length = count + 1;
    this.p = this.model.probabilities(this.steps.at(-1).h);
  }
  read(id) {
    const p = this.p[id];
    this.steps.push({...this.stepOf(id, this.steps.at(-1).state), p});
    this.p = this.model.probabilities(this.steps.at(-1).h);
  }
  // (7.1): how much of the cache's attention after step t each word in the window has. [[id, weight], ...]
  attention(t, {window, theta}) {
    const first = Math.max(0, t - window), h = this.steps[t].h, scores = [];
    for (let i = first; i < t; i++) {
      const past = this.steps[i].h;
      let sum = 0;
      for (let j = 0; j < h.length; j++) sum += past[j] * h[j];
      scores.push(theta * sum);
    }
    const largest = scores.reduce((a, b) => Math.max(a, b), -Infinity);
    const e = scores.map((score) => Math.exp(score - largest)), sum = e.reduce((a, b) => a + b, 0);
    return e.map((weight, k) => [this.steps[first + k + 1].id, weight / sum]);  // h_i is filed with x_{i+1}
  }
  // (7.2) and (7.3): the mixture, and the cache's part of it.
  next(cache) {
    const t = this.steps.length - 1;
    if (!cache || t === 0) return {p: this.p, cached: new Map()};
    const cached = new Map(), p = this.p.map((value) => (1 - cache.lam) * value);
    for (const [id, weight] of this.attention(t, cache)) {
      cached.set(id, (cached.get(id) ?? 0) + cache.lam * weight);
      p[id] += cache.lam * weight;
    }
    return {p, cached};
  }
  // How surprising each word was when it came, bits.
  bits(cache) {
    return this.steps.slice(1).map((step, t) => {
      if (!cache || t === 0) return -Math.log2(step.p);
      const setting = `${cache.window} ${cache.theta}`;
      if (step.setting !== setting) {  // the past of a word does not change: once is enough
        const hits = this.attention(t, cache).filter(([id]) => id === step.id);
        Object.assign(step, {setting, cached: hits.reduce((sum, [, weight]) => sum + weight, 0)});
      }
      return -Math.log2((1 - cache.lam) * step.p + cache.lam * step.cached);
    });
  }
}

// The ids of the likeliest words, the likeliest first.
function likeliest(p, count) {
  const top = [];
  for (let v = 0; v < p.length; v++) {
    if (top.length === count && p[v] <= p[top[count - 1]]) continue;
    let place = top.length;
    while (place > 0 && p[top[place - 1]] < p[v]) place--;
    top.splice(place, 0, v);
    if (top.length > count) top.pop();
  }
  return top;
}

// A word drawn from p at a temperature, never <unk>; at 0 the likeliest.
function draw(p, temperature, unk, random = Math.random) {
  const best = likeliest(p, 2).find((v) => v !== unk);
  if (temperature === 0) return best;
  const weights = p.map((value, v) => v === unk ? 0 : (value / p[best]) ** (1 / temperature));
  let point = random() * weights.reduce((a, b) => a + b, 0);
  for (let v = 0; v < weights.length; v++) if ((point -= weights[v]) < 0) return v;
  return best;
}

// The words of a text as the package cuts it: at blanks, with <eos> for a line end. What the model does not know is
// freed of its punctuation first, since readers write "door," where its corpus has "door ,".
function cut(text, ids) {
  const plain = text.replace(/[“”]/g, '"').replace(/[‘’]/g, "'").replace(/\n/g, " <eos> ");
  return (plain.replace(/<(unk|eos|bos|pad)>/g, " $& ").match(/\S+/g) ?? []).flatMap((word) => {
    if (ids.has(word)) return [word];
    const [, open, core, tail, close] = word.match(/^(["(]*)(.*?)('s|'t|'re|'ve|'ll|'d)?([",.;:!?)]*)$/);
    return [...open, ...core.split("-").flatMap((part, k) => k ? ["@-@", part] : [part]), tail, ...close].filter(Boolean);
  });
}
