using Coppice.Coding;
using Coppice.Federation.Codecs;
using Coppice.Formats;
using Coppice.Tensors;

namespace Coppice.Federation.Voting;

/// <summary>A client's vote on one matrix: places of numbers, ascending.</summary>
/// <param name="Drop">Of those that its mask keeps, the ones to go: all but the largest after local training.</param>
/// <param name="Grow">Of the others, the ones to come back: those of the largest gradients.</param>
readonly record struct MatrixVote(int[] Drop, int[] Grow);

/// <summary>A client's votes on all matrices.</summary>
/// <param name="Votes">One a matrix.</param>
/// <param name="Bytes">How many bytes of its update they took.</param>
sealed record Ballot(MatrixVote[] Votes, long Bytes);

/// <summary>Votes as bytes: of each matrix the gaps before the places that go, counted among those that its mask keeps, then before those that come back, counted among the others. How many there are the reader knows.</summary>
static class MaskVotes
{
    /// <summary>The tensor of an update that holds them, U8.</summary>
    public const string TensorName = "votes";

    /// <summary>What a client votes, by its numbers after local training and its gradients over it, summed.</summary>
    public static MatrixVote[] Of(LocalMasks task, ParameterSet masks, ParameterSet trained, ParameterSet? gradients) => [.. task.Names.Select((name, i) =>
    {
        (int[] active, int[] others) = Places(masks.Tensors[name]);
        bool[] kept = new bool[active.Length];
        foreach (int place in TopK.Indices(Taken(trained.Tensors[name], active), task.Keep[i]))
            kept[place] = true;
        int[] grow = gradients is null ? [] : TopK.Indices(Taken(gradients.Tensors[name], others), task.Grow[i]);
        return new MatrixVote([.. active.Where((_, place) => !kept[place])], [.. grow.Select(place => others[place])]);
    })];

    /// <summary>Writes them.</summary>
    public static TensorSource Write(LocalMasks task, ParameterSet masks, IReadOnlyList<MatrixVote> votes)
    {
        ByteWriter writer = new();
        for (int i = 0; i < votes.Count; i++)
        {
            (int[] active, int[] others) = Places(masks.Tensors[task.Names[i]]);
            WritePlaces(writer, active, votes[i].Drop);
            WritePlaces(writer, others, votes[i].Grow);
        }
        return TensorSource.Raw(TensorName, DType.U8, [writer.Length], writer.ToArray());
    }

    /// <summary>Reads votes that are not trusted: exactly as many as were asked for, each for a number that is there.</summary>
    /// <exception cref="CoppiceException">They are anything else.</exception>
    public static Ballot Read(SafeTensors message, LocalMasks task, ParameterSet masks)
    {
        TensorEntry entry = message.Find(TensorName);
        if (entry.DType != DType.U8)
            throw FormatError.At(message.Path, $"tensor '{TensorName}' is {entry.DType}, wanted {DType.U8}");
        ByteReader reader = new($"{message.Path}: tensor '{TensorName}'", entry.ToBytes());
        MatrixVote[] votes = new MatrixVote[task.Names.Length];
        for (int i = 0; i < votes.Length; i++)
        {
            (int[] active, int[] others) = Places(masks.Tensors[task.Names[i]]);
            int[] drop = ReadPlaces(ref reader, active, active.Length - task.Keep[i]);
            votes[i] = new MatrixVote(drop, ReadPlaces(ref reader, others, task.Grow[i]));
        }
        reader.End();
        return new Ballot(votes, entry.ByteCount);
    }

    /// <summary>Changes a mask [its shape, one where a number is kept] as most would: of its numbers the fewest votes to go decide which stay, of equal ones the largest; of the others the most votes which come back, of equal ones the first.</summary>
    /// <param name="votes">Votes on this matrix with their weights.</param>
    /// <param name="values">The averaged numbers.</param>
    /// <param name="keep">How many stay.</param>
    /// <param name="grow">How many come back.</param>
    /// <param name="mask">Before, and then after.</param>
    public static void Count(IReadOnlyList<(double Weight, MatrixVote Vote)> votes, ReadOnlySpan<float> values, int keep, int grow, Tensor mask)
    {
        double[] go = new double[mask.Shape.Length], come = new double[mask.Shape.Length];
        foreach ((double weight, MatrixVote vote) in votes)
        {
            foreach (int place in vote.Drop)
                go[place] += weight;
            foreach (int place in vote.Grow)
                come[place] += weight;
        }
        float[] sizes = new float[values.Length];
        System.Numerics.Tensors.TensorPrimitives.Abs(values, sizes);
        (int[] active, int[] others) = Places(mask);
        Array.Sort(active, (a, b) => (go[a], -sizes[a], a).CompareTo((go[b], -sizes[b], b)));
        Array.Sort(others, (a, b) => (-come[a], a).CompareTo((-come[b], b)));
        mask.Data.Clear();
        foreach (int place in (int[])[.. active[..keep], .. others[..grow]])
            mask.Data[place] = 1;
    }

    // What a mask keeps, and what not.
    static (int[] Active, int[] Others) Places(Tensor mask)
    {
        int[] active = new int[mask.Shape.Length - mask.Data.Count(0f)], others = new int[mask.Shape.Length - active.Length];
        for (int i = 0, a = 0, o = 0; i < mask.Shape.Length; i++)
            if (mask.Data[i] != 0)
                active[a++] = i;
            else
                others[o++] = i;
        return (active, others);
    }

    static float[] Taken(Tensor values, int[] places)
    {
        float[] taken = new float[places.Length];
        for (int i = 0; i < taken.Length; i++)
            taken[i] = values.Data[places[i]];
        return taken;
    }

    static void WritePlaces(ByteWriter writer, int[] among, int[] places)
    {
        int[] gaps = new int[places.Length];
        for (int i = 0, before = -1; i < places.Length; i++)
        {
            int place = Array.BinarySearch(among, places[i]);
            (gaps[i], before) = (place - before - 1, place);
        }
        Gaps.Write(writer, gaps);
    }

    static int[] ReadPlaces(ref ByteReader reader, int[] among, int count)
    {
        int[] places = new int[count];
        Gaps.Read(ref reader, places);
        long place = -1;
        for (int i = 0; i < count; i++)
        {
            place += places[i] + 1L;
            places[i] = place < among.Length ? among[place] : throw reader.Error($"a vote for number {place:N0} of {among.Length:N0}");
        }
        return places;
    }
}
