// llama.cpp opens our GGUF files and computes what Coppice computes from them.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { getLlama, LlamaLogLevel } from "node-llama-cpp";
import { prove } from "./proofs.mjs";
import { argmax, difference, leadOf, teacherForced } from "./logits.mjs";
import { at, logitsOf, reference } from "./reference.mjs";

// Where Coppice's two best logits lie further apart than `gap`, llama.cpp must choose the same token. `distance` bounds the root mean square of
// the difference of all logits of a step, as a part of their standard deviation. docs/interop.md says why they differ at all, and what was measured.
const float = { F16: { gap: 0.05, distance: 0.005 }, BF16: { gap: 0.1, distance: 0.025 } };
const ofType = type => float[type] ?? (/_K$|_XS$|^IQ[23]_/.test(type) ? { gap: 0.25, distance: 0.15 } : { gap: 0.25, distance: 0.08 });

// Steps that a run must have compared for its comparison to mean anything.
const leastCompared = 24;

let llama;
before(async () => {
  llama = await getLlama({ gpu: false, build: "never", skipDownload: true, progressLogs: false, logLevel: LlamaLogLevel.error });
});
after(() => llama.dispose());

for (const file of new Set(reference.runs.map(run => run.file)))
  describe(file, () => {
    let model;
    before(async () => {
      model = await llama.loadModel({ modelPath: at(file), gpuLayers: 0 });
    });
    after(() => model.dispose());

    for (const [index, run] of reference.runs.filter(run => run.file === file).entries())
      test(`greedy text ${index + 1}: the same tokens and logits`, async t => {
        const ours = logitsOf(run);
        const theirs = await teacherForced(model, run);
        const { gap, distance } = ofType(run.type);
        let compared = 0, farthest = 0, widestMiss = 0;
        for (let step = 0; step < run.greedy.length; step++) {
          const far = difference(ours[step], theirs[step]);
          farthest = Math.max(farthest, far);
          const lead = leadOf(ours[step], run.greedy[step]);
          const chosen = argmax(theirs[step]);
          if (chosen !== run.greedy[step])
            widestMiss = Math.max(widestMiss, lead);
          if (lead > gap)
            compared++;
        }
        t.diagnostic(`${compared} of ${run.greedy.length} steps lead by more than ${gap}; widest lead with another token ${widestMiss.toFixed(4)}; farthest logits ${farthest.toFixed(5)} deviations`);
        assert.ok(widestMiss <= gap, `llama.cpp chose another token where ours led by ${widestMiss}`);
        assert.ok(farthest <= distance, `logits differ by ${farthest} standard deviations, at most ${distance} allowed`);
        assert.ok(compared >= leastCompared, `only ${compared} steps were clear enough to compare`);
        prove({ family: "llama", format: "gguf", storage: run.type, runtime: "llama.cpp", farthest });
      });

    // The vocabulary is the same in all files of a model.
    test("its vocabulary splits every text as ours", { skip: !file.endsWith("-F16.gguf") }, () => {
      for (const { text, ids, markedIds } of reference.lines) {
        assert.deepEqual([...model.tokenize(text, false)], ids, `plain: ${JSON.stringify(text)}`);
        assert.deepEqual([...model.tokenize(text, true)], markedIds, `with markers: ${JSON.stringify(text)}`);
      }
    });
  });
