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

// The arrays of a file of weights, by name.
function arraysOf(file) {
  const buffer = bytesOf(file.data), array = {};
  let at = 0;
  for (const [name, type, length] of file.arrays) {
    array[name] = type === "int8" ? new Int8Array(buffer, at, length) : new Float32Array(buffer, at, length);
    at += array[name].byteLength;
  }
  return array;
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
  // result += weights[r] times (row r), over all rows
  addTransposed(weights, result) {
    const {scale, whole, rows, columns} = this;
    for (let r = 0, k = 0; r < rows; r++) {
      const a = scale[r] * weights[r];
      for (let j = 0; j < columns; j++, k++) result[j] += a * whole[k];
    }
    return result;
  }
}

// ------------------------------------------------------------------------------------------------------ the equations

const sigmoid = (a) => 1 / (1 + Math.exp(-a));

class LSTM {
  constructor(file) {
    const array = arraysOf(file);
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

  // One word x: the new state of each layer and its gates, by (3.1) to (3.6) without peepholes.
  step(x, state) {
    let below = this.E.row(x);  // e_t for the first layer, the h_t of the layer below for the others
    return this.layers.map(({W_x, W_h, b}, layer) => {
      const old = state[layer], H = old.h.length;
      const net = W_h.addProduct(old.h, W_x.addProduct(below, Float32Array.from(b)));  // rows i, f, g, o
      const [i, f, g, o, c, h] = Array.from({length: 6}, () => new Float32Array(H));
      for (let j = 0; j < H; j++) {
        i[j] = sigmoid(net[j]);                  // (3.1)
        f[j] = sigmoid(net[H + j]);              // (3.2)
        g[j] = Math.tanh(net[2 * H + j]);        // (3.3)
        c[j] = f[j] * old.c[j] + i[j] * g[j];    // (3.4)
        o[j] = sigmoid(net[3 * H + j]);          // (3.5)
        h[j] = o[j] * Math.tanh(c[j]);           // (3.6)
      }
      below = h;
      return {i, f, g, o, c, h};
    });
  }

  // Back through time, by (3.8) to (3.13) without peepholes: from dh of a layer at each step to that of the layer below.
  // `before` is the state before the first of the states.
  back(layer, states, before, dh) {
    const {W_x, W_h} = this.layers[layer], H = W_h.columns;
    const below = new Array(states.length), dc = new Float32Array(H);
    let fromNext = new Float32Array(H);  // what the step after sends back through its W_h
    for (let t = states.length - 1; t >= 0; t--) {
      const {i, f, g, o, c} = states[t][layer], old = (states[t - 1] ?? before)[layer].c, delta = new Float32Array(4 * H);
      for (let j = 0; j < H; j++) {
        const sent = (dh[t]?.[j] ?? 0) + fromNext[j], shown = Math.tanh(c[j]);    // (3.8)
        delta[3 * H + j] = sent * shown * o[j] * (1 - o[j]);                      // (3.9)
        dc[j] += sent * o[j] * (1 - shown * shown);                               // (3.10), with what f brought back
        delta[j] = dc[j] * g[j] * i[j] * (1 - i[j]);                              // (3.11)
        delta[H + j] = dc[j] * old[j] * f[j] * (1 - f[j]);                        // (3.12)
        delta[2 * H + j] = dc[j] * i[j] * (1 - g[j] * g[j]);                      // (3.13)
        dc[j] *= f[j];
      }
      fromNext = W_h.addTransposed(delta, new Float32Array(H));
      below[t] = W_x.addTransposed(delta, new Float32Array(W_x.columns));
    }
    return below;
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
  // How many of the first words of a text are those that were read.
  common(ids) {
    let same = 0;
    while (same < ids.length && same + 1 < this.steps.length && this.steps[same + 1].id === ids[same]) same++;
    return same;
  }
  // Read a text; what it shares with the last one is not read again.
  follow(ids) {
    const same = this.common(ids);
    this.keep(same);
    for (const id of ids.slice(same)) this.read(id);
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
  // The gradient through time: |∂ log p(id comes next) / ∂ the vector of a word|, for each step from `first` on.
  gradients(id, first = 0) {
    const {model} = this, states = this.steps.slice(first).map(({state}) => state);
    const before = first ? this.steps[first - 1].state : model.initialState();
    let back = [];  // of the top layer only the last step is asked: E's row of the word less the mean row
    back[states.length - 1] = model.E.addTransposed(this.p.map((p) => -p), model.E.row(id));
    for (let layer = model.layers.length - 1; layer >= 0; layer--) back = model.back(layer, states, before, back);
    return back.map((vector) => Math.hypot(...vector));
  }
  // How much less likely, in nats, a word is to come next where an earlier one was not read; for each step from `first`
  // on. It takes a while: the page may breathe in between, and null comes back once the answer is no longer wanted.
  async leftOut(id, first, wanted = () => true) {
    const loss = [], whole = Math.log(this.p[id]);
    for (let k = first, t = this.steps.length - 1; k <= t; k++) {
      let {state} = this.steps[k - 1];
      for (let j = k + 1; j <= t; j++) state = this.model.step(this.steps[j].id, state);
      loss.push(whole - Math.log(this.model.probabilities(state.at(-1).h)[id]));
      await new Promise((resolve) => setTimeout(resolve));
      if (!wanted()) return null;
    }
    return loss;
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

// p sharpened and cut, as the package does it: the temperature first, then the k likeliest, then the likeliest up to a
// sum of topP. At temperature 0 the likeliest has it all. What is banned gets nothing.
function shaped(p, {temperature = 1, topK = Infinity, topP = 1}, banned = []) {
  const left = p.slice();
  for (const id of banned) left[id] = 0;
  const [best] = likeliest(left, 1);
  const weights = temperature ? left.map((value) => (value / left[best]) ** (1 / temperature)) : left.map((_, v) => +(v === best));
  if (topK < weights.length || topP < 1) {
    const order = [...weights.keys()].sort((a, b) => weights[b] - weights[a] || a - b);
    order.slice(topK).forEach((v) => { weights[v] = 0; });
    const enough = topP * (1 - 1e-6) * weights.reduce((a, b) => a + b, 0);
    let before = 0;
    for (const v of order) {
      const weight = weights[v];
      if (before && before >= enough) weights[v] = 0;
      before += weight;
    }
  }
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / sum);
}

// A word drawn from p.
function draw(p, random = Math.random) {
  let point = random() * p.reduce((a, b) => a + b, 0);
  for (let v = 0; v < p.length; v++) if ((point -= p[v]) < 0) return v;
  return likeliest(p, 1)[0];
}

// The words of a text as the package cuts it: at blanks, with <eos> for a line end. What the model does not know is
// freed of its punctuation first, since readers write "door," and "1,000" where its corpus has "door ," and "1 @,@ 000".
function cut(text, ids) {
  const plain = text.replace(/\n/g, " <eos> ").replace(/<(unk|eos|bos|pad)>/g, " $& ");
  return (plain.match(/\S+/g) ?? []).flatMap((word) => {
    if (ids.has(word)) return [word];
    const straight = word.replace(/[“”]/g, '"').replace(/[‘’]/g, "'");
    const [, open, core, tail, close] = straight.match(/^(["(]*)(.*?)('s|'t|'re|'ve|'ll|'d)?([",.;:!?)]*)$/);
    const parts = core.replace(/(\d)([.,])(?=\d)/g, "$1 @$2@ ").replace(/-/g, " @-@ ").split(" ");
    return [...open, ...parts, tail, ...close].filter(Boolean);
  });
}

// A text with one word more, written as a reader would where that is read back as the same words: "door ," is "door,".
function joined(text, word, ids) {
  if (word === "<eos>") return `${text}\n`;
  const apart = `${text.replace(/(\S)$/, "$1 ")}${word} `, quotes = text.split('"').length - 1;
  const closes = /^([,.;:!?)]|'[a-z]+)$/.test(word) || (word === '"' && quotes % 2);
  const opened = / @[-,.]@ $|(^|\s)\( $/.test(text) || (/(^|\s)" $/.test(text) && quotes % 2);
  if (!closes && !opened) return apart;
  const close = `${text.replace(/ @([-,.])@ $/, "$1").replace(/ $/, "")}${word} `;
  return cut(close, ids).join(" ") === [...cut(text, ids), word].join(" ") ? close : apart;
}
