// Logits of llama.cpp, and how far they lie from ours.
import assert from "node:assert/strict";

/** llama.cpp's logits for each step of our text, ours fed back whichever token it would have chosen itself. */
export async function teacherForced(model, run) {
  const context = await model.createContext({ contextSize: 256, batchSize: 256, sequences: 1 });
  try {
    const first = run.prompt.length - 1;
    const tokens = [...run.prompt, ...run.greedy.slice(0, -1)];
    const wanted = { generateNext: { logits: true, options: { temperature: 0 } } };
    const outputs = await context.getSequence().controlledEvaluate(tokens.map((token, i) => i < first ? token : [token, wanted]));
    return outputs.slice(first).map(({ next }) => {
      const logits = new Float32Array(next.logits.size).fill(NaN);
      for (const [token, logit] of next.logits)
        logits[token] = logit;
      return logits;
    });
  } finally {
    await context.dispose();
  }
}

export function argmax(logits) {
  let best = 0;
  for (let i = 1; i < logits.length; i++)
    if (logits[i] > logits[best])
      best = i;
  return best;
}

/** How far a token's logit lies above every other. */
export function leadOf(logits, token) {
  let other = -Infinity;
  for (let i = 0; i < logits.length; i++)
    if (i !== token)
      other = Math.max(other, logits[i]);
  return logits[token] - other;
}

/** Root mean square difference over the standard deviation of ours. */
export function difference(ours, theirs) {
  assert.equal(theirs.length, ours.length, "another vocabulary size");
  let sum = 0, squares = 0, differences = 0;
  for (let i = 0; i < ours.length; i++) {
    sum += ours[i];
    squares += ours[i] ** 2;
    differences += (ours[i] - theirs[i]) ** 2;
  }
  const variance = squares / ours.length - (sum / ours.length) ** 2;
  const result = Math.sqrt(differences / ours.length / variance);
  assert.ok(Number.isFinite(result), "a logit is missing or not finite");
  return result;
}
