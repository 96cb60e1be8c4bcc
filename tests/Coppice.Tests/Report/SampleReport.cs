using System.Collections.Immutable;
using Coppice.Evaluation;
using Coppice.Explanation;
using Coppice.Report.Data;

namespace Coppice.Tests.Report;

/// <summary>A report with every section, in numbers of the size that a real run gives.</summary>
static class SampleReport
{
    static readonly string[] Words =
    [
        "Gets", " or", " sets", " the", " maximum", " number", " of", " concurrent", " connections", " allowed", " by", " the", " service", " point", ".", "\n",
        "Returns", " an", " enumer", "ator", " that", " iter", "ates", " through", " the", " collection", ".", " The", " default", " value", " is", " `", "null", "`", ".",
    ];

    static readonly string[] Matrices = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"];

    public static ReportData Create()
    {
        Random random = new(7);
        return new ReportData
        {
            Title = "grove, fine-tuned by six clients and made eight times smaller",
            Summary = "Six clients fine-tuned the 5.2-million-parameter model grove on documentation that it had not seen, without sending any text. The result was pruned, quantized " +
                "to four bits and measured against its base: int4 GPTQ takes 2.96 MB instead of 10.41 MB and costs 0.0093 bits a byte.",
            Variants =
            [
                new() { Name = "base (bf16)", Bytes = 10_412_032, BitsPerWeight = 16, BitsPerByte = E(1.2141, 0.0108), TokensPerSecond = E(412, 6.1) },
                new() { Name = "int8", Bytes = 5_523_400, BitsPerWeight = 8.5, BitsPerByte = E(1.2142, 0.0108), Kl = E(0.00031, 0.00001), Top1Agreement = E(0.9921, 0.0011), TokensPerSecond = E(655, 8.2) },
                new() { Name = "int4 round-to-nearest", Bytes = 2_961_022, BitsPerWeight = 4.55, BitsPerByte = E(1.2418, 0.0112), Kl = E(0.0412, 0.0011), Top1Agreement = E(0.9014, 0.0041), TokensPerSecond = E(871, 11) },
                new() { Name = "int4 GPTQ", Bytes = 2_961_022, BitsPerWeight = 4.55, BitsPerByte = E(1.2234, 0.0109), Kl = E(0.0153, 0.0005), Top1Agreement = E(0.9404, 0.0032), TokensPerSecond = E(868, 10) },
                new() { Name = "2:4 + int4", Bytes = 2_118_400, BitsPerWeight = 3.25, BitsPerByte = E(1.3052, 0.0121), Kl = E(0.1091, 0.0024), Top1Agreement = E(0.8312, 0.0052), TokensPerSecond = E(903, 14) },
                new() { Name = "Wanda 50 %", Bytes = 6_010_113, BitsPerWeight = 9.2, BitsPerByte = E(1.2822, 0.0118), Kl = E(0.0871, 0.0019), Top1Agreement = E(0.8611, 0.0048), TokensPerSecond = E(433, 9) },
            ],
            Rounds = [.. Enumerable.Range(1, 8).Select(round => new FederationRound(round, 6, round == 4 ? 1 : 0, 31_100_000 + round * 120, 62_400_000, 2.61 + 0.9 * Math.Exp(-round / 2.5)))],
            Training = [.. Enumerable.Range(1, 120).Select(i => new CurvePoint(i * 50, 2.4 + 5 * Math.Exp(-i / 18.0) + 0.08 * random.NextDouble(), i % 12 == 0 ? 2.5 + 5 * Math.Exp(-i / 18.0) : null))],
            Layers = [.. from block in Enumerable.Range(0, 6) from matrix in Matrices select new CompressedLayer($"model.layers.{block}.{matrix}", "int4-g32", 4.5, random.NextDouble() * 0.02, 0.002 + 0.03 * random.NextDouble())],
            Texts = [Text(random)],
            Prompts = [Prompt(random, "connections", 9), Prompt(random, " collection", 16)],
            Agreement = new AgreementResult
            {
                Pairs = [Pair(random, 9), Pair(random, 9)],
                Scores =
                [
                    AgreementScore.From("Spearman", [0.91, 0.84], [0.12, 0.2], [0.99, 0.98]),
                    AgreementScore.From("Jaccard of the top 5", [0.66, 0.66], [0.25, 0.11], [1, 1]),
                    AgreementScore.From("Cosine", [0.95, 0.92], [0.31, 0.28], [0.999, 0.998]),
                ],
                FloorLabel = "the base with every matrix replaced by noise of its variance (seed 1)",
                CeilingLabel = "the base explained again by integrated gradients, 40 steps, mean-embedding baseline",
            },
            Errors = new WeightErrorResult([.. from block in Enumerable.Range(0, 6) from matrix in Matrices select new MatrixErrors($"model.layers.{block}.{matrix}", block, "q3_k", 0.03 + 0.01 * random.NextDouble(),
                [0.1, 0.3, 0.5, 1.2], [.. Enumerable.Range(0, WeightErrors.Bins).Select(_ => 0.002 * random.NextDouble())], E(0.0005 + 0.001 * random.NextDouble(), 1e-4))], E(0.012, 0.001), 2048),
            Blame = new BlameResult
            {
                Kl = E(0.0153, 0.0005),
                Windows = 16,
                Tokens = 2048,
                Stages = [.. new[] { "embedding", "block 0", "block 1", "block 2", "block 3", "block 4", "block 5", "head" }.Select((name, i) =>
                    new Blame(name, i is > 0 and < 7 ? i - 1 : null, null, E(0.004 * Math.Exp(-i / 2.0) - (i == 5 ? 0.0006 : 0), 0.0002), E(0.0045 * Math.Exp(-i / 2.2), 0.0002)))],
                Matrices = [.. from block in Enumerable.Range(0, 6) from matrix in Matrices select new Blame($"block {block}", block, matrix, E(0.002 * random.NextDouble() - 0.0003, 1e-4), E(0.001, 1e-4))],
            },
            Scores = [.. new[] { "base (bf16)", "int4 GPTQ" }.SelectMany(variant => new[]
            {
                new VariantScore(variant, new Score("nll", 2.4132, 0.0214, 48_211, Signature)),
                new VariantScore(variant, new Score("bitsPerByte", 1.2141, 0.0108, 48_211, Signature)),
                new VariantScore(variant, new Score("kl", 3.1e-5, 4.2e-6, 48_211, Signature)),
            })],
            Artifacts =
            [
                new("out/grove-int4", "Hugging Face folder, compressed-tensors", 2_980_114),
                new("out/grove-q4_0.gguf", "GGUF for llama.cpp", 3_011_552, "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"),
            ],
            Run = new RunFacts(
                ["coppice federate simulate grove --data sdk:clients --rounds 8 --seed 1 -o out/tuned", "coppice compress out/tuned --to int4-gptq --calibrate sdk:valid -o out/grove-int4", "coppice eval out/grove-int4 --base out/tuned --data sdk:test"],
                [("Version", "0.1.0"), ("Seed", "1"), ("Model, SHA-256", "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"), ("Machine", "AMD EPYC 7B13, 2 threads, AVX2, 8 GB"), ("Taken", "2 min 41 s")]),
        };
    }

    const string Signature = "text:sha256=1f3870be,tokenizer:sha256=77ab02c1,context=512,stride=512,prefix=bos,reduction=token-mean,protocol=lm-eval";

    public static ComparedText Text(Random random) => new("System.Net, held out", "int4 GPTQ", [.. Words.Select((word, i) =>
    {
        double nats = 4 * Math.Pow(random.NextDouble(), 2), kl = 0.12 * Math.Pow(random.NextDouble(), 4);
        bool flips = kl > 0.04;
        return new ComparedToken(new TokenComparison(0, i, 300 + 7 * i, 12, flips ? 13 : 12, nats, nats + 3 * kl * (random.NextDouble() - 0.3), kl), word, word, flips ? " a" : word);
    })]);

    static ExplainedPrompt Prompt(Random random, string target, int length) => new(Words[..length], target, "int4 GPTQ", Pair(random, length));

    static AttributionPair Pair(Random random, int length)
    {
        ImmutableArray<double> scores = [.. Enumerable.Range(0, length).Select(i => (random.NextDouble() - 0.3) * (i > length - 4 ? 4 : 1))];
        Attribution One(double noise)
        {
            ImmutableArray<double> own = [.. scores.Select(score => score + noise * (random.NextDouble() - 0.5))];
            return new()
            {
                Method = new IntegratedGradients().ToString(),
                Tokens = [.. Enumerable.Range(300, length)],
                Scores = own,
                Target = 411,
                Position = length - 1,
                Output = 9.412,
                BaselineOutput = 9.412 - own.Sum() + 0.0021,
            };
        }
        return new AttributionPair(One(0), One(0.5));
    }

    public static Estimate E(double value, double error) => new(value, error, 16);
}
