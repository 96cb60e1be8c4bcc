using Coppice.Federation;
using Coppice.Federation.Strategies;
using Coppice.Formats;
using Coppice.Server.Store;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Server.Rounds;

/// <summary>A result that cannot be: the run ends.</summary>
sealed class NoResultException(string message) : CoppiceException(message);

/// <summary>
/// The next model, as a function of what is committed: the round's model, its survivors' updates, and nothing else. It is made slice by slice, each kept as soon as it is there, so that
/// whoever goes on after a death does only what is missing, and two who do the same at once make the same bytes. Each begins at a <paramref name="place"/> of its own and leaves out what is
/// there by then, so that several do each a part.
/// </summary>
sealed class Aggregator(IRunStore store, BlobStore blobs, RunSettings settings, int place)
{
    // Of the strategies that can be stored it is the average, for which a piece of one update at a time is enough.
    readonly RunningMean mean = new();
    float[] numbers = [];

    /// <summary>The blob of a closing round's next model.</summary>
    /// <exception cref="NoResultException">The average is not finite.</exception>
    public string Run(RunRow run, RoundRow round, CancellationToken cancel)
    {
        using StoredModel model = new(blobs.PathOf(round.Model), settings);
        IReadOnlyList<Survivor> survivors = store.Survivors(round.Id);
        for (int i = 0; i < model.SliceCount; i++)
        {
            cancel.ThrowIfCancellationRequested();
            int slice = (int)((i + (uint)place) % model.SliceCount);
            if (store.Slices(round.Id).ContainsKey(slice))
                continue;
            store.PutSlice(round.Id, slice, Average(run, round, model.Slice(slice), model, survivors));
            Garbage.Collect((long)sizeof(float) * numbers.Length);
        }
        return Joined([.. store.Slices(round.Id).OrderBy(slice => slice.Key).Select(slice => slice.Value)]);
    }

    string Average(RunRow run, RoundRow round, IReadOnlyList<StoredTensor> slice, StoredModel model, IReadOnlyList<Survivor> survivors)
    {
        int count = slice.Sum(tensor => tensor.Shape.Length);
        if (numbers.Length < count)
            numbers = GC.AllocateUninitializedArray<float>(count);
        mean.Begin(count);
        // They come by name. Each is open for a slice only, as there may be more of them than files that a process can have open.
        foreach (Survivor survivor in survivors)
        {
            using StoredUpdate update = new(Coordinator.NameOf(survivor.Client, round), blobs.PathOf(survivor.Update.Blob), run.Signature, round.Number, survivor.Client, model, settings);
            mean.Next(survivor.Update.Samples);
            foreach ((StoredTensor tensor, int first, Memory<float> piece) in Pieces(slice))
            {
                update.Read(tensor.Name, first, piece.Span);
                mean.Add(tensor.Place + first, piece.Span);
            }
        }
        foreach ((StoredTensor tensor, int first, Memory<float> piece) in Pieces(slice))
        {
            model.Read(tensor.Name, first, piece.Span);
            mean.End(settings.Federation.Codec.Kind, tensor.Place + first, piece.Span);
            if (HalfConversion.IndexOfNonFinite(piece.Span) >= 0)
                throw new NoResultException($"Round {round.Number}: the average of tensor '{tensor.Name}' is not finite");
        }
        return blobs.Put(path => SafeTensorsWriter.WriteFile(path, slice.Select(tensor => TensorSource.Floats(tensor.Name, tensor.Shape, numbers.AsMemory(tensor.Place, tensor.Shape.Length)))));
    }

    // Where the numbers of the slice lie, in which those of a client are a guest.
    IEnumerable<(StoredTensor Tensor, int First, Memory<float> Piece)> Pieces(IReadOnlyList<StoredTensor> slice) =>
        slice.SelectMany(tensor => tensor.Pieces.Select(piece => (tensor, piece.First, numbers.AsMemory(tensor.Place + piece.First, piece.Count))));

    string Joined(string[] slices)
    {
        List<SafeTensors> files = [];
        try
        {
            files.AddRange(slices.Select(blob => SafeTensors.Open(blobs.PathOf(blob))));
            return blobs.Put(path => SafeTensorsWriter.WriteFile(path, files.SelectMany(file => file.Entries.Values).Select(TensorSource.Copy)));
        }
        finally
        {
            files.ForEach(file => file.Dispose());
        }
    }
}
