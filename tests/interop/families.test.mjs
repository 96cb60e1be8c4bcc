// llama.cpp opens a GGUF file of each architecture that we write and computes what Coppice computes from it.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { getLlama, LlamaLogLevel } from "node-llama-cpp";
import { difference, teacherForced } from "./logits.mjs";
import { prove } from "./proofs.mjs";
import { at, logitsOf, reference } from "./reference.mjs";

// The root mean square difference of a step's logits, as a part of their standard deviation. An expert that one program takes and the other does not, where two scores
// nearly tie, moves a step's logits by far more: of a mixture nine in ten steps must be near.
const distance = 0.005, nearSteps = name => /^mixtral|moe/.test(name) ? 0.9 : 1;

// The cosine between two embeddings; llama.cpp takes GELU's tanh formula from a table of halves where BERT has the exact function.
const cosine = 0.9999;

// Scores are around one in size; products are of halves.
const scoreDistance = 0.01;

let llama;
before(async () => {
  llama = await getLlama({ gpu: false, build: "never", skipDownload: true, progressLogs: false, logLevel: LlamaLogLevel.error });
});
after(() => llama.dispose());

for (const file of new Set(reference.families.map(run => run.file)))
  test(`${file}: the same logits`, async t => {
    const model = await llama.loadModel({ modelPath: at(file), gpuLayers: 0 });
    try {
      const far = [];
      for (const run of reference.families.filter(run => run.file === file)) {
        const ours = logitsOf(run);
        const theirs = await teacherForced(model, run);
        far.push(...ours.map((logits, step) => difference(logits, theirs[step])));
      }
      far.sort((a, b) => a - b);
      t.diagnostic(`median ${far[far.length >> 1].toFixed(5)}, farthest ${far.at(-1).toFixed(5)} deviations`);
      const bound = far[Math.ceil(nearSteps(file) * far.length) - 1];
      assert.ok(bound <= distance, `logits differ by ${bound} standard deviations, at most ${distance} allowed`);
      // A pruned model is one of its family, of other sizes.
      if (!/-pruned\.gguf$/.test(file))
        prove({ family: file.replace(/\.gguf$/, ""), format: "gguf", storage: "F16", runtime: "llama.cpp", farthest: bound });
    } finally {
      await model.dispose();
    }
  });

const isClassifier = file => /classifier/.test(file);

describe("classifiers", () => {
  for (const file of new Set(reference.embedded.map(one => one.file).filter(isClassifier)))
    test(`${file}: the same scores`, async t => {
      const model = await llama.loadModel({ modelPath: at(file), gpuLayers: 0 });
      try {
        const context = await model.createRankingContext({ contextSize: 128, batchSize: 128 });
        let farthest = 0;
        for (const { ids, vector } of reference.embedded.filter(one => one.file === file)) {
          // The public function gives the first score of texts that it cuts itself; these are all scores of our ids.
          await context._evaluateRankingForInput(ids);
          const theirs = context._llamaContext._ctx.getEmbedding(ids.length, vector.length);
          assert.equal(theirs.length, vector.length, "another number of classes");
          farthest = Math.max(farthest, ...vector.map((score, i) => Math.abs(score - theirs[i])));
        }
        t.diagnostic(`farthest score ${farthest.toFixed(6)}`);
        assert.ok(farthest <= scoreDistance, `scores differ by ${farthest}, at most ${scoreDistance} allowed`);
        prove({ family: file.replace(/\.gguf$/, ""), format: "gguf", storage: "F16", runtime: "llama.cpp", farthest });
      } finally {
        await model.dispose();
      }
    });
});

describe("embeddings", () => {
  for (const file of new Set(reference.embedded.map(one => one.file).filter(file => !isClassifier(file))))
    test(`${file}: the same direction`, async t => {
      const model = await llama.loadModel({ modelPath: at(file), gpuLayers: 0 });
      try {
        const context = await model.createEmbeddingContext({ contextSize: 128, batchSize: 128 });
        let least = 1;
        for (const { ids, vector } of reference.embedded.filter(one => one.file === file)) {
          const theirs = (await context.getEmbeddingFor(ids)).vector;
          assert.equal(theirs.length, vector.length, "another width");
          const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);
          least = Math.min(least, dot(theirs, vector) / Math.sqrt(dot(theirs, theirs) * dot(vector, vector)));
        }
        t.diagnostic(`least cosine ${least.toFixed(6)}`);
        assert.ok(least >= cosine, `a cosine of ${least}, wanted ${cosine}`);
        prove({ family: file.replace(/\.gguf$/, ""), format: "gguf", storage: "F16", runtime: "llama.cpp", farthest: 1 - least });
      } finally {
        await model.dispose();
      }
    });
});
