// llama.cpp cuts every line as we do, by the vocabulary of a GGUF that we wrote.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { getLlama, LlamaLogLevel } from "node-llama-cpp";
import { at, readJson, reference } from "./reference.mjs";

const lines = readJson("types", "lines.json");

let llama;
before(async () => {
  llama = await getLlama({ gpu: false, build: "never", skipDownload: true, progressLogs: false, logLevel: LlamaLogLevel.error });
});
after(() => llama.dispose());

for (const name of reference.vocabularies)
  test(`${name}: the same ids for every line`, async t => {
    const model = await llama.loadModel({ modelPath: at("vocabularies", `${name}.gguf`), gpuLayers: 0, vocabOnly: true });
    try {
      const ours = readJson("vocabularies", `${name}.json`);
      let shown = 0, wrong = 0;
      for (const [index, line] of lines.entries()) {
        const theirs = [...model.tokenize(line, true)];
        if (JSON.stringify(theirs) === JSON.stringify(ours[index]))
          continue;
        wrong++;
        if (shown++ < 12)
          t.diagnostic(`line ${index}: ${JSON.stringify(line)}\n   theirs ${theirs}\n   ours   ${ours[index]}`);
      }
      assert.equal(wrong, 0, `${wrong} of ${lines.length} lines`);
    } finally {
      await model.dispose();
    }
  });
