using System.Numerics.Tensors;
using Coppice.Evaluation;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;

namespace Coppice.Federation.Recipes;

/// <summary>A client's side of a comparison: both models over its own text; nothing but means leaves it.</summary>
sealed class ComparisonClient(string id, int[] measured, bool isHeldOut, WorkerPool pool)
{
    /// <summary>Does what a task asks.</summary>
    /// <exception cref="CoppiceException">The task is damaged or another client's, or the text is no window long.</exception>
    public ReadOnlyMemory<byte> Answer(string name, ReadOnlyMemory<byte> message, CancellationToken cancel)
    {
        ComparisonTask task = ComparisonTask.Read(name, message, out ReadOnlyMemory<byte> tensors);
        if (task.Client != id)
            throw FormatError.At(name, $"is for client '{task.Client}'");
        using SafeTensors file = SafeTensors.Read(name, tensors);
        DecoderModel first = Model(task.Base, ComparisonTask.BasePrefix), second = Model(task.Compressed, ComparisonTask.CompressedPrefix);
        int length = Math.Min(task.ContextLength, Math.Min(first.ContextLength, second.ContextLength));
        int windows = Math.Min(task.Windows, (measured.Length - 1) / length);
        if (windows < 1)
            throw FormatError.At(name, $"the text has {measured.Length} tokens, wanted more than {length}");
        if (measured.Max() is var highest && highest >= first.VocabularySize || first.VocabularySize != second.VocabularySize)
            throw FormatError.At(name, $"the text has token ids up to {measured.Max()}, the models vocabularies of {first.VocabularySize} and {second.VocabularySize}; they do not belong together");
        return Message.Write(new ComparisonAnswer(ComparisonTask.CurrentFormat, task.Run, id, Compare(first, second, length, windows, cancel)), FederationJson.Default.ComparisonAnswer, []);

        DecoderModel Model(System.Text.Json.JsonElement config, string prefix) => WireWeights.Model(DecoderFolder.ReadConfig(new JsonFields(name, config)), file, prefix);
    }

    ClientComparison Compare(DecoderModel first, DecoderModel second, int length, int windows, CancellationToken cancel)
    {
        ForwardContext a = new(pool), b = new(pool);
        double[] tokens = new double[windows], nats = new double[windows], delta = new double[windows], kl = new double[windows], same = new double[windows];
        int vocabulary = first.VocabularySize;
        double[] p = new double[vocabulary], q = new double[vocabulary];
        Batch batch = new();
        for (int w = 0; w < windows; w++)
        {
            cancel.ThrowIfCancellationRequested();
            batch.Clear();
            batch.Add(measured.AsSpan(w * length, length));
            ReadOnlySpan<float> before = first.Forward(batch, a).Data, after = second.Forward(batch, b).Data;
            tokens[w] = length;
            for (int t = 0; t < length; t++)
            {
                ReadOnlySpan<float> x = before.Slice(t * vocabulary, vocabulary), y = after.Slice(t * vocabulary, vocabulary);
                int next = measured[w * length + t + 1];
                double own = CrossEntropy.Row(x, next);
                nats[w] += own;
                delta[w] += CrossEntropy.Row(y, next) - own;
                kl[w] += KlDivergence.Of(x, y, p, q);
                same[w] += TensorPrimitives.IndexOfMax(x) == TensorPrimitives.IndexOfMax(y) ? 1 : 0;
            }
            a.Reset();
            b.Reset();
        }
        Estimate loss = Mean(nats), difference = Mean(delta), divergence = Mean(kl);
        return new ClientComparison(id, (long)windows * length, isHeldOut, loss.Value, loss.Value + difference.Value, Error(difference), divergence.Value, Error(divergence), Mean(same).Value);

        Estimate Mean(double[] sums) => Statistics.Ratio(sums, tokens);

        // Of one window there is none to tell.
        static double Error(Estimate estimate) => double.IsFinite(estimate.StandardError) ? estimate.StandardError : 0;
    }
}
