using Coppice.Evaluation;
using Coppice.Models;
using Coppice.Tensors;

namespace Coppice.Compression;

/// <summary>A little text with what a base model says of it, to measure many variants against: all logits are kept, 4 bytes a token and word.</summary>
sealed class KlSlice
{
    readonly List<(int[] Tokens, float[] Logits)> texts = [];
    readonly ForwardContext context;
    readonly int vocabulary;

    /// <summary>The first <paramref name="tokens"/> tokens of some sequences in the model as it is now.</summary>
    public KlSlice(Model model, IEnumerable<int[]> sequences, int tokens, WorkerPool pool)
    {
        (context, vocabulary) = (new ForwardContext(pool), model.VocabularySize);
        foreach (int[] sequence in sequences)
        {
            if (tokens <= 0)
                break;
            int[] text = sequence[..Math.Min(tokens, sequence.Length)];
            texts.Add((text, Logits(model, text)));
            tokens -= text.Length;
        }
    }

    /// <summary>The mean KL divergence from the base, nats a token, and its standard error over sequences (0 of one).</summary>
    public (double Kl, double StandardError) Of(Model model, CancellationToken cancel = default)
    {
        List<(double Sum, int Tokens)> parts = [];
        double[] one = new double[vocabulary], other = new double[vocabulary];
        foreach ((int[] tokens, float[] wanted) in texts)
        {
            cancel.ThrowIfCancellationRequested();
            float[] found = Logits(model, tokens);
            double sum = 0;
            for (int row = 0; row < wanted.Length; row += vocabulary)
                sum += KlDivergence.Of(wanted.AsSpan(row, vocabulary), found.AsSpan(row, vocabulary), one, other);
            parts.Add((sum, tokens.Length));
        }
        double all = parts.Sum(part => part.Tokens), mean = parts.Sum(part => part.Sum) / all;
        double spread = parts.Sum(part => Math.Pow(part.Sum - mean * part.Tokens, 2));
        return (mean, parts.Count > 1 ? Math.Sqrt(spread * parts.Count / (parts.Count - 1)) / all : 0);
    }

    float[] Logits(Model model, int[] sequence)
    {
        Batch batch = new();
        batch.Add(sequence);
        float[] logits = model.Forward(batch, context).Data.ToArray();
        context.Reset();
        return logits;
    }
}
