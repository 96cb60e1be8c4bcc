namespace Coppice.Tensors;

/// <summary>Lends tensors for one pass and takes them all back at once, so that the second pass of a kind allocates nothing. Not thread-safe.</summary>
public sealed class Arena
{
    readonly List<Tensor> tensors = [], results = [];
    readonly List<(int[] Numbers, int Mark)> lists = [];
    readonly FreeList memory = new();
    int next, nextResult, nextList;

    /// <summary>A tensor whose content is whatever was there; it is the caller's until <see cref="Release"/> or <see cref="Reset"/>.</summary>
    public Tensor Rent(Shape shape)
    {
        if (next == tensors.Count)
            tensors.Add(new Tensor(shape));
        else if (tensors[next].Capacity < shape.Length)
            tensors[next] = new Tensor(shape);
        Tensor tensor = tensors[next++];
        tensor.Reuse(shape);
        return tensor;
    }

    /// <summary>A tensor for a result on a tape, with a gradient, until <see cref="Reset"/>; its memory goes from tensor to tensor as the pass and its way back need it.</summary>
    internal Tensor RentResult(Shape shape, WorkerPool pool)
    {
        if (nextResult == results.Count)
            results.Add(Tensor.Unlent());
        Tensor result = results[nextResult++];
        result.Lend(shape, memory, pool);
        return result;
    }

    /// <summary>Row numbers whose content is whatever was there; the caller's as long as a tensor rented now would be.</summary>
    internal Memory<int> RentRows(int count)
    {
        if (nextList == lists.Count)
            lists.Add((new int[count], next));
        else
            lists[nextList] = (lists[nextList].Numbers.Length < count ? new int[count] : lists[nextList].Numbers, next);
        return lists[nextList++].Numbers.AsMemory(0, count);
    }

    /// <summary>Grows whenever something is taken back: a tensor holds what it held as long as this stays the same.</summary>
    internal long Generation { get; private set; }

    /// <summary>A place to return to with <see cref="Release"/>.</summary>
    public int Mark => next;

    /// <summary>Takes back everything that was rented since <paramref name="mark"/>; results on a tape stay.</summary>
    public void Release(int mark)
    {
        if ((uint)mark > (uint)next)
            throw new ArgumentOutOfRangeException(nameof(mark), $"Arena: mark {mark} lies past the {next} tensors that are lent");
        (next, Generation) = (mark, Generation + 1);
        while (nextList > 0 && lists[nextList - 1].Mark >= mark)
            nextList--;
    }

    /// <summary>Takes everything back.</summary>
    public void Reset()
    {
        for (int i = 0; i < nextResult; i++)
            results[i].GiveBack();
        if (nextResult > 0)
            memory.EndPass();
        nextResult = 0;
        Release(0);
    }

    /// <summary>Bytes held, lent or not.</summary>
    public long ByteCount
    {
        get
        {
            long bytes = memory.ByteCount;
            foreach (Tensor tensor in tensors)
                bytes += 4L * tensor.Capacity;
            return bytes;
        }
    }
}
