// node bench/peers/llama.mjs MODEL.gguf THREADS PROMPT TOKENS: node-llama-cpp's tokens a second, as JSON. Installed by tests/interop/run.
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const require = createRequire(new URL('../../tests/interop/package.json', import.meta.url));
const { getLlama } = await import(pathToFileURL(require.resolve('node-llama-cpp')));
const [model, threads, prompt, tokens] = [process.argv[2], ...process.argv.slice(3).map(Number)];

const llama = await getLlama({ gpu: false, logLevel: 'error', maxThreads: threads });
const loaded = await llama.loadModel({ modelPath: model });
const context = await loaded.createContext({ contextSize: prompt + tokens + 8, batchSize: prompt, threads });
const sequence = context.getSequence();
const ids = Array.from({ length: prompt }, (_, i) => 3 + i % 1000);

async function seconds(work) {
    const start = process.hrtime.bigint();
    await work();
    return Number(process.hrtime.bigint() - start) / 1e9;
}

await sequence.evaluateWithoutGeneratingNewTokens(ids.slice(0, 8));
await sequence.clearHistory();
const read = await seconds(() => sequence.evaluateWithoutGeneratingNewTokens(ids));
await sequence.clearHistory();
await sequence.evaluateWithoutGeneratingNewTokens(ids.slice(0, 8));
let made = 0;
const generated = await seconds(async () => {
    for await (const _ of sequence.evaluate([ids[8]], { temperature: 0, yieldEogToken: true }))
        if (++made === tokens)
            break;
});
process.stdout.write(JSON.stringify({ prompt: prompt / read, generation: tokens / generated }));
process.exit(0);
