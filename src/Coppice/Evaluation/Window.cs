namespace Coppice.Evaluation;

/// <summary>A run of a document's ids that a model reads at once.</summary>
/// <param name="Document">Place in <see cref="EvaluationText.Documents"/>.</param>
/// <param name="Start">Its first id's place in the document.</param>
/// <param name="Length">How many ids.</param>
/// <param name="FirstScored">The first id that is scored, counted in the window; at least 1, as nothing predicts the first.</param>
public readonly record struct Window(int Document, int Start, int Length, int FirstScored)
{
    /// <summary>How many ids are scored.</summary>
    public int Scored => Length - FirstScored;

    /// <summary>Cuts document <paramref name="document"/> of <paramref name="length"/> ids.</summary>
    internal static IEnumerable<Window> Cut(int document, int length, Protocol protocol) => protocol.Windowing switch
    {
        Windowing.Documents => length < 2 ? [] : [new Window(document, 0, Math.Min(length, protocol.Context), 1)],
        Windowing.Strided => Strided(document, length, protocol.Context, protocol.Stride),
        _ => Enumerable.Range(0, length / protocol.Context).Select(i => new Window(document, i * protocol.Context, protocol.Context, 1)),
    };

    static IEnumerable<Window> Strided(int document, int length, int context, int stride)
    {
        int reached = 0;
        for (int start = 0; reached < length; start += stride)
        {
            int end = Math.Min(start + context, length), first = Math.Max(reached, start + 1);
            if (first < end)
                yield return new Window(document, start, end - start, first - start);
            reached = end;
        }
    }
}
