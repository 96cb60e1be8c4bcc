using System.Diagnostics;
using Coppice.Evaluation;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Cli.Bench;

/// <summary>A model from end to end: reading a prompt against the float32 peak, generating against reading every stored byte once a token.</summary>
static class ModelBench
{
    /// <param name="PromptTokens">Tokens of the prompt.</param>
    /// <param name="Prompt">Prompt tokens a second; the ceiling is the FMA peak over two operations a weight.</param>
    /// <param name="Generation">Tokens a second behind an 8-token prompt; the ceiling is the read bandwidth over the bytes of a token.</param>
    /// <param name="TokenSecondsP99">99% of the tokens took no longer.</param>
    public sealed record Result(int PromptTokens, Turns.Rates Prompt, Turns.Rates Generation, double TokenSecondsP99);

    // Tokens that generation continues.
    const int Before = 8;

    public static Result Measure(Model model, int promptTokens, int tokens, int rounds, WorkerPool pool, MachineProbe probe, IProgress<Tick> progress, CancellationToken cancel)
    {
        promptTokens = Math.Min(promptTokens, model.ContextLength);
        tokens = Math.Min(tokens, model.ContextLength - Before);
        Random random = new(1);
        int[] prompt = [.. Enumerable.Range(0, promptTokens).Select(_ => random.Next(model.VocabularySize))];
        // An embedding is read a row at a time, unless it is the head as well.
        long head = model.Matrices().First().Layer.Weight.ByteCount;
        bool tied = model is DecoderModel { Config.Head: HeadKind.Tied };
        long bytes = model.ByteCount - (tied ? 0 : head), weights = model.Matrices().Skip(tied ? 0 : 1).Sum(part => (long)part.Layer.Weight.Shape.Length);
        // The head answers for a prompt's last token alone.
        long promptWeights = weights - (long)model.VocabularySize * model.Width;

        ForwardContext reading = new(pool) { Activations = ActivationFormat.Int8 };
        KvCache cache = new(model, Math.Max(promptTokens, tokens + Before));
        Turns.Rates prefill = Turns.Measure(Math.Min(rounds, 5), promptTokens, () =>
        {
            cache.Truncate(0);
            Read(model, prompt, cache, reading);
        }, () => probe.PeakFlops() / (2.0 * promptWeights), cancel);
        progress.Report(new Tick(0.5, "generation"));

        List<double> seconds = [];
        cache.Truncate(0);
        Read(model, prompt.AsSpan(0, Before), cache, reading);
        Turns.Rates generation = Turns.Measure(rounds, tokens, () =>
        {
            cache.Truncate(Before);
            for (int i = 0; i < tokens; i++)
            {
                long start = Stopwatch.GetTimestamp();
                Read(model, prompt.AsSpan(i % prompt.Length, 1), cache, reading);
                seconds.Add(Stopwatch.GetElapsedTime(start).TotalSeconds);
            }
        }, () => probe.ReadBytesPerSecond() / bytes, cancel);
        return new Result(promptTokens, prefill, generation, Turns.Percentile([.. seconds], 99));
    }

    static void Read(Model model, ReadOnlySpan<int> tokens, KvCache cache, ForwardContext context)
    {
        context.Reset();
        Batch batch = new();
        batch.Add(tokens, cache);
        model.ForwardWanted(batch, context);
    }
}
