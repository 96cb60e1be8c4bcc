// Hugging Face's two tokenizer libraries read our tokenizer.json and split every text as we do.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { describe, test } from "node:test";
import * as script from "@huggingface/tokenizers";
import { at, readJson, reference } from "./reference.mjs";

const rust = createRequire(import.meta.url)("tokenizers-linux-x64-gnu");

// Both always read markers such as <|endoftext|> as control tokens.
describe("the Rust library", () => {
  const tokenizer = rust.Tokenizer.fromFile(at(reference.folder, "tokenizer.json"));

  test("gives the same ids for every text", async () => {
    for (const { text, markedIds } of reference.lines)
      assert.deepEqual((await tokenizer.encode(text, null, { addSpecialTokens: false })).getIds(), markedIds, JSON.stringify(text));
  });

  test("reads ids back as the text", async () => {
    for (const { text, ids } of reference.lines)
      assert.equal(await tokenizer.decode(ids, false), text, JSON.stringify(text));
  });
});

describe("the JavaScript library", () => {
  const tokenizer = new script.Tokenizer(readJson(reference.folder, "tokenizer.json"), readJson(reference.folder, "tokenizer_config.json"));

  // White space is Unicode's to the Rust library, llama.cpp and us; to JavaScript's \s, U+0085 is none and U+FEFF is some.
  const lines = reference.lines.filter(({ text }) => text !== "" && !/[\u0085\uFEFF]/.test(text));

  test("gives the same ids for every text", () => {
    for (const { text, markedIds } of lines)
      assert.deepEqual(tokenizer.encode(text, { add_special_tokens: false }).ids, markedIds, JSON.stringify(text));
  });

  test("reads ids back as the text", () => {
    for (const { text, ids } of lines)
      assert.equal(tokenizer.decode(ids, { skip_special_tokens: false, clean_up_tokenization_spaces: false }), text, JSON.stringify(text));
  });
});
