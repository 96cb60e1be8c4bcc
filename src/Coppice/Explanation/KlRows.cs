using Coppice.Evaluation;
using Coppice.Tensors;

namespace Coppice.Explanation;

/// <summary>KL between two models' next-token distributions over a window.</summary>
internal static class KlRows
{
    /// <summary>Sum over tokens of KL(base || other) in nats, for logits [tokens, vocabulary].</summary>
    public static double Sum(WorkerPool pool, ReadOnlySpan<float> baseLogits, ReadOnlySpan<float> other, int vocabulary)
    {
        double[] rows = new double[baseLogits.Length / vocabulary];
        RowJob job = new() { Base = baseLogits, Other = other, Rows = rows, Scratch = new double[2 * vocabulary * pool.Threads], Vocabulary = vocabulary, Parts = pool.Threads };
        pool.Run(job.Parts, ref job);
        double sum = rows.Sum();
        return double.IsFinite(sum) ? sum : throw new CoppiceException("Layer blame: the logits hold NaN or infinity");
    }

    ref struct RowJob : IJob
    {
        public ReadOnlySpan<float> Base, Other;
        public Span<double> Rows, Scratch;
        public int Vocabulary, Parts;

        public readonly void Execute(int part)
        {
            Span<double> scratch = Scratch.Slice(2 * part * Vocabulary, 2 * Vocabulary);
            for (int row = part; row < Rows.Length; row += Parts)
            {
                int start = row * Vocabulary;
                Rows[row] = KlDivergence.Of(Base.Slice(start, Vocabulary), Other.Slice(start, Vocabulary), scratch[..Vocabulary], scratch[Vocabulary..]);
            }
        }
    }
}
