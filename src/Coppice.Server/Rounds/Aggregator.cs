using System.Numerics.Tensors;
using Coppice.Federation;
using Coppice.Federation.Strategies;
using Coppice.Formats;
using Coppice.Server.Store;
using Coppice.Tensors;
using Tensor = Coppice.Tensors.Tensor;

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
            byte[] made = Average(run, round, slice, model, survivors);
            store.PutSlice(round.Id, slice, blobs.Put(made));
            Garbage.Collect(made.Length);
        }
        return Joined([.. store.Slices(round.Id).OrderBy(slice => slice.Key).Select(slice => slice.Value)]);
    }

    byte[] Average(RunRow run, RoundRow round, int slice, StoredModel model, IReadOnlyList<Survivor> survivors)
    {
        ParameterSet before = model.Slice(slice);
        // Of the strategies that can be stored it is the average, for which one update at a time is enough. Survivors come by name.
        RunningMean mean = new(before);
        foreach (Survivor survivor in survivors)
        {
            mean.Add(survivor.Update.Samples, Decode(survivor));
            Garbage.Collect(4 * before.Count);
        }
        ParameterSet after = mean.End(settings.Federation.Codec.Kind);
        foreach ((string name, Tensor tensor) in after.Tensors)
            if (!float.IsFinite(TensorPrimitives.MaxMagnitude<float>(tensor.Data)))
                throw new NoResultException($"Round {round.Number}: the average of tensor '{name}' is not finite");
        return SafeTensorsWriter.ToBytes(after.Sources(DType.F32));

        // Opened for a slice only: mapped pages count as memory that a process holds.
        ParameterSet Decode(Survivor survivor)
        {
            using StoredUpdate update = new(Coordinator.NameOf(survivor.Client, round), blobs.PathOf(survivor.Update.Blob), run.Signature, round.Number, survivor.Client, model, settings);
            return update.Decode(slice, before);
        }
    }

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
