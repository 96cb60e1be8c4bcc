// llama.cpp cuts every line as we do, by the vocabulary of a GGUF that we wrote.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { getLlama, LlamaLogLevel } from "node-llama-cpp";
import { at, readJson, reference } from "./reference.mjs";

// Lines that llama.cpp reads otherwise by design. Its WordPiece drops marks of every kind where BERT drops those without width, takes no Hangul syllable apart, and puts U+2581 in
// front of words, so that one in a text is no letter; its Unigram stops at U+0000.
const left = { wordpiece: /[\p{Mc}\p{Me}\p{Cf}\p{Cc}\u2581\uAC00-\uD7A3]/u, unigram: /\0/ };

// It sums Unigram's scores as float64 and SentencePiece as float32: of two orders of the same pieces, which tie, either may come first.
const mostTies = 0.01;

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
      let compared = 0, ties = 0;
      for (const [index, line] of lines.entries()) {
        if (left[name]?.test(line))
          continue;
        compared++;
        const theirs = [...model.tokenize(line, false)];
        const same = theirs.length === ours[index].length && theirs.every((id, i) => id === ours[index][i]);
        if (same || name !== "unigram")
          assert.deepEqual(theirs, ours[index], `line ${index}: ${JSON.stringify(line)}`);
        else {
          ties++;
          assert.deepEqual(theirs.sort(), ours[index].toSorted(), `line ${index}, in any order: ${JSON.stringify(line)}`);
        }
      }
      t.diagnostic(`${compared} of ${lines.length} lines, ${ties} of them in another order`);
      assert.ok(compared >= 4000 && ties <= mostTies * compared, `${compared} lines, ${ties} in another order`);
    } finally {
      await model.dispose();
    }
  });
