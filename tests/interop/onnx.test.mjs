// ONNX Runtime runs every graph that we write, the prompt at once and then token by token with its cache, and computes what Coppice computes.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as ort from "onnxruntime-node";
import { at, logitsOf, reference } from "./reference.mjs";
import { prove } from "./proofs.mjs";

// Bounds the root mean square difference of all logits of a token as a part of their standard deviation. docs/interop.md says what was measured.
const distance = { f32: 1e-5, "f32-qdq": 1e-5, f16: 0.01 };

const prompt = 6;
const seen = new Set();

for (const run of reference.onnx)
  describe(run.folder, () => {
    test("prompt, then token by token: the same logits", async t => {
      const session = await open(run);
      const ours = logitsOf(run, run.text.length);
      const cache = new Cache(run);
      let farthest = 0;
      for (let from = 0; from < run.text.length;) {
        const to = from === 0 ? prompt : from + 1;
        const logits = await cache.step(session, [run.text.slice(from, to)], [Array(to).fill(1)], [range(from, to)]);
        for (let i = from; i < to; i++)
          farthest = Math.max(farthest, difference(ours[i], logits.subarray((i - from) * run.vocabulary, (i - from + 1) * run.vocabulary)));
        from = to;
      }
      await session.release();
      t.diagnostic(`farthest logits ${farthest.toExponential(1)} deviations`);
      assert.ok(farthest <= distance[run.type], `logits differ by ${farthest} standard deviations, at most ${distance[run.type]} allowed`);
      prove({ family: run.family, format: "onnx", storage: `${run.weights}, ${run.type}`, runtime: "ONNX Runtime", farthest });
    });

    // Once a family: padding must not be seen, whatever its masks are.
    if (!seen.has(run.family) && seen.add(run.family))
      test("two texts, the shorter padded on the left", async () => {
        const session = await open(run);
        const ours = logitsOf(run, run.text.length);
        const cache = new Cache(run, 2);
        const length = run.text.length, pad = 4;
        const short = [...Array(pad).fill(7), ...run.text.slice(0, length - pad)];
        const logits = await cache.step(session, [run.text, short], [Array(length).fill(1), short.map((_, i) => i < pad ? 0 : 1)], [range(0, length), short.map((_, i) => Math.max(0, i - pad))]);
        for (const [row, skip] of [[0, 0], [1, pad]])
          for (let i = skip; i < length; i++) {
            const from = (row * length + i) * run.vocabulary;
            const far = difference(ours[i - skip], logits.subarray(from, from + run.vocabulary));
            assert.ok(far <= distance[run.type], `text ${row}, token ${i}: logits differ by ${far} standard deviations`);
          }
        await session.release();
      });
  });

const open = run => ort.InferenceSession.create(at(run.folder, "onnx", "model.onnx"), { intraOpNumThreads: 1, logSeverityLevel: 3 });

/** Keys and values between steps. */
class Cache {
  constructor(run, batch = 1) {
    const type = run.type === "f16" ? "float16" : "float32";
    const empty = () => new ort.Tensor(type, type === "float16" ? new Uint16Array(0) : new Float32Array(0), [batch, run.heads, 0, run.headWidth]);
    this.past = Object.fromEntries(range(0, run.layers).flatMap(layer => ["key", "value"].map(part => [`past_key_values.${layer}.${part}`, empty()])));
  }

  async step(session, ids, mask, positions) {
    const { logits, ...present } = await session.run({ input_ids: integers(ids), attention_mask: integers(mask), position_ids: integers(positions), ...this.past });
    this.past = Object.fromEntries(Object.entries(present).map(([name, tensor]) => [name.replace("present", "past_key_values"), tensor]));
    return logits.data;
  }
}

function range(from, to) {
  return Array.from({ length: to - from }, (_, i) => from + i);
}

function integers(rows) {
  return new ort.Tensor("int64", BigInt64Array.from(rows.flat(), BigInt), [rows.length, rows[0].length]);
}

/** Root mean square difference over the standard deviation of ours. */
function difference(ours, theirs) {
  assert.equal(theirs.length, ours.length, "another vocabulary size");
  let sum = 0, squares = 0, differences = 0;
  for (let i = 0; i < ours.length; i++) {
    sum += ours[i];
    squares += ours[i] ** 2;
    differences += (ours[i] - theirs[i]) ** 2;
  }
  const result = Math.sqrt(differences / (squares - sum * sum / ours.length));
  assert.ok(Number.isFinite(result), "a logit is missing or not finite");
  return result;
}
