// Products [512, 4096] x [4096, 4096]^T here and in ONNX Runtime, in turns: float32, 4 and 8 bits in groups of 32 with 8-bit activations (MatMulNBits).
//
//   node bench/peers/onnxruntime.mjs [ROUNDS]
//
// ONNXRUNTIME names the folder of the npm package onnxruntime-node. Build coppice first: dotnet build -c Release src/Coppice.Cli
import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const require = createRequire(import.meta.url);
const ort = require(process.env.ONNXRUNTIME ?? 'onnxruntime-node');
const coppice = fileURLToPath(new URL('../../src/Coppice.Cli/bin/Release/net10.0/Coppice.Cli', import.meta.url));
const rounds = Number(process.argv[2] ?? 5), rows = 512, width = 4096, group = 32;

// ---- A model of one node, in protocol buffers' wire format. ----
function varint(value) {
    const bytes = [];
    for (let v = BigInt(value); ; v >>= 7n) {
        if (v < 128n) return Buffer.from([...bytes, Number(v)]);
        bytes.push(Number(v & 127n) | 128);
    }
}
const number = (field, value) => Buffer.concat([varint(field << 3), varint(value)]);
const bytes = (field, value) => { const data = typeof value === 'string' ? Buffer.from(value) : value; return Buffer.concat([varint(field << 3 | 2), varint(data.length), data]); };
const message = (...parts) => Buffer.concat(parts);
const tensor = (name, type, dims, data) => message(...dims.map(d => number(1, d)), number(2, type), bytes(8, name), bytes(9, data));
const value = (name, dims) => message(bytes(1, name), bytes(2, bytes(1, message(number(1, 1), bytes(2, message(...dims.map(d => bytes(1, number(1, d)))))))));
const integer = (name, i) => message(bytes(1, name), number(3, i), number(20, 2));
function model(type, domain, attributes, weights) {
    const node = message(bytes(1, 'x'), ...weights.map(w => bytes(1, w.name)), bytes(2, 'y'), bytes(4, type), ...attributes.map(a => bytes(5, a)), bytes(7, domain));
    const graph = message(bytes(1, node), bytes(2, 'g'), ...weights.map(w => bytes(5, w.bytes)), bytes(11, value('x', [rows, width])), bytes(12, value('y', [rows, width])));
    return message(number(1, 9), bytes(7, graph), bytes(8, message(bytes(1, ''), number(2, 20))), bytes(8, message(bytes(1, 'com.microsoft'), number(2, 1))));
}
const floats = count => Buffer.from(Float32Array.from({ length: count }, (_, i) => (i * 7919 % 1000) / 1000 - 0.5).buffer);
const weight = (name, type, dims, data) => ({ name, bytes: tensor(name, type, dims, data) });
function grouped(bits) {
    const blob = group * bits / 8, blocks = width / group;
    const codes = Buffer.alloc(width * blocks * blob);
    for (let i = 0; i < codes.length; i++) codes[i] = i * 31;
    return model('MatMulNBits', 'com.microsoft', [integer('K', width), integer('N', width), integer('bits', bits), integer('block_size', group), integer('accuracy_level', 4)],
        [weight('w', 2, [width, blocks, blob], codes), weight('s', 1, [width * blocks], floats(width * blocks))]);
}
const models = { f32: model('MatMul', '', [], [weight('w', 1, [width, width], floats(width * width))]), q4_0: grouped(4), q8_0: grouped(8) };

// ---- In turns. ----
const median = values => values.sort((a, b) => a - b)[values.length >> 1];
const x = new ort.Tensor('float32', new Float32Array(rows * width).fill(0.1), [rows, width]);
console.log(`[${rows}, ${width}] x [${width}, ${width}]^T, GOP/s, medians of ${rounds} rounds in turns\n\n| weight | threads | ours | ONNX Runtime | ratio |\n| --- | ---: | ---: | ---: | ---: |`);
for (const threads of [1, 2]) {
    const theirs = {}, ours = {};
    for (let round = 0; round < rounds; round++) {
        for (const kind in models) {
            // A session's threads go on spinning, so it does not outlive its turn.
            const session = await ort.InferenceSession.create(models[kind], { intraOpNumThreads: threads, interOpNumThreads: 1, executionProviders: ['cpu'] });
            await session.run({ x });
            const start = process.hrtime.bigint();
            for (let i = 0; i < 3; i++) await session.run({ x });
            (theirs[kind] ??= []).push(3 * 2 * rows * width * width / Number(process.hrtime.bigint() - start));
            await session.release();
        }
        const report = JSON.parse(execFileSync(coppice, ['bench', 'grove', '--rows', width, '--rounds', 3, '--threads', threads, '--only', Object.keys(models).join(','), '--json', '--quiet']));
        for (const row of report.kernels)
            if (row.rows === rows) (ours[row.weight] ??= []).push(row.rate / 1e9);
    }
    for (const kind in models) {
        const [a, b] = [median(ours[kind]), median(theirs[kind])];
        console.log(`| ${kind} | ${threads} | ${a.toFixed(0)} | ${b.toFixed(0)} | ${(a / b).toFixed(2)} |`);
    }
}
