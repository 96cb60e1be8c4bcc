using System.Numerics.Tensors;
using Coppice.Federation;
using Coppice.Server.Store;

namespace Coppice.Server.Rounds;

/// <summary>One client's part in a round.</summary>
/// <param name="Answer">What it was asked, what became of it, and its update.</param>
/// <param name="RoundsSince">Rounds since an update of it counted last; null where none did before.</param>
/// <param name="Cosine">Of the angle between its change of the weights and the mean of all that count; null for one that does not count, or was deleted.</param>
/// <param name="Drift">Distance of its change from that mean, over the mean's length.</param>
sealed record ExplainedClient(AnswerRow Answer, int? RoundsSince, double? Cosine, double? Drift);

/// <summary>Who did what in a round that lives in the store, and how alike the updates that count are.</summary>
/// <param name="Round">The round.</param>
/// <param name="Clients">All that were asked, by name.</param>
/// <param name="Change">2-norm of the mean change of the weights; null while none is known, and where the updates were deleted.</param>
sealed record RoundExplanation(RoundRow Round, IReadOnlyList<ExplainedClient> Clients, double? Change)
{
    /// <summary>Explains a round from what is kept of it. One piece of the model is in memory at a time.</summary>
    public static RoundExplanation Of(IRunStore store, BlobStore blobs, RunRow run, RoundRow round, CancellationToken cancel)
    {
        IReadOnlyList<AnswerRow> answers = store.Answers(round.Id);
        IReadOnlyList<Survivor> survivors = store.Survivors(round.Id);
        bool isThere = survivors.Count > 0 && !store.Released().Contains(round.Id);
        (double[] own, double[] along, double mean) = !isThere ? ([], [], 0) : Products(blobs, run, round, survivors, cancel);
        Dictionary<string, int> place = survivors.Select((survivor, i) => (survivor.Client, i)).ToDictionary(part => part.Client, part => part.i, StringComparer.Ordinal);
        Dictionary<string, int> before = new(StringComparer.Ordinal);
        foreach (RoundRow earlier in store.Rounds(run.Id).Where(other => other.Number < round.Number))
            foreach (Survivor survivor in store.Survivors(earlier.Id))
                before[survivor.Client] = earlier.Number;
        return new RoundExplanation(round, [.. answers.Select(answer =>
        {
            string client = answer.Assignment.Client;
            int? since = before.TryGetValue(client, out int last) ? round.Number - last : null;
            return isThere && place.TryGetValue(client, out int i)
                ? new ExplainedClient(answer, since, along[i] / Math.Sqrt(own[i] * mean), Math.Sqrt(Math.Max(0, own[i] - 2 * along[i] + mean) / mean))
                : new ExplainedClient(answer, since, null, null);
        })], isThere ? Math.Sqrt(mean) : null);
    }

    // |d_i|^2, d_i D and |D|^2, D being the mean of all d weighted by samples.
    static (double[] Own, double[] Along, double Mean) Products(BlobStore blobs, RunRow run, RoundRow round, IReadOnlyList<Survivor> survivors, CancellationToken cancel)
    {
        RunSettings settings = RunSettings.FromJson(run.Options);
        double[] own = new double[survivors.Count], along = new double[survivors.Count];
        double length = 0, samples = survivors.Sum(survivor => (double)survivor.Update.Samples);
        List<StoredUpdate> updates = [];
        using StoredModel model = new(blobs.PathOf(round.Model), settings);
        try
        {
            foreach (Survivor survivor in survivors)
                updates.Add(new StoredUpdate(Coordinator.NameOf(survivor.Client, round), blobs.PathOf(survivor.Update.Blob), run.Signature, round.Number, survivor.Client, model, settings));
            float[] mean = new float[ParameterSet.PieceLength];
            float[][] changes = [.. updates.Select(_ => new float[ParameterSet.PieceLength])];
            foreach ((StoredTensor tensor, (int first, int count)) in model.Tensors.SelectMany(tensor => tensor.Pieces.Select(piece => (tensor, piece))))
            {
                cancel.ThrowIfCancellationRequested();
                Span<float> whole = mean.AsSpan(0, count);
                whole.Clear();
                for (int i = 0; i < changes.Length; i++)
                {
                    Span<float> change = changes[i].AsSpan(0, count);
                    updates[i].ReadChange(tensor.Name, first, change);
                    TensorPrimitives.MultiplyAdd(change, (float)(survivors[i].Update.Samples / samples), whole, whole);
                }
                length += Dot(whole, whole);
                for (int i = 0; i < changes.Length; i++)
                {
                    ReadOnlySpan<float> change = changes[i].AsSpan(0, count);
                    own[i] += Dot(change, change);
                    along[i] += Dot(change, whole);
                }
            }
        }
        finally
        {
            updates.ForEach(update => update.Dispose());
        }
        return (own, along, length);
    }

    static double Dot(ReadOnlySpan<float> a, ReadOnlySpan<float> b)
    {
        double sum = 0;
        for (int i = 0; i < a.Length; i++)
            sum += (double)a[i] * b[i];
        return sum;
    }
}
