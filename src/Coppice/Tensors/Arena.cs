namespace Coppice.Tensors;

/// <summary>Lends tensors for one pass and takes them all back at once, so that the second pass of a kind allocates nothing. Not thread-safe.</summary>
public sealed class Arena
{
    readonly List<Tensor> tensors = [];
    int next;

    /// <summary>A tensor whose content is whatever was there; it is the caller's until <see cref="Release"/> or <see cref="Reset"/>.</summary>
    public Tensor Rent(Shape shape)
    {
        if (next == tensors.Count)
            tensors.Add(new Tensor(shape));
        else if (tensors[next].Capacity < shape.Length)
            tensors[next] = new Tensor(shape);
        Tensor tensor = tensors[next++];
        tensor.Reuse(shape, grad: null);
        return tensor;
    }

    /// <summary>Grows whenever something is taken back: a tensor holds what it held as long as this stays the same.</summary>
    internal long Generation { get; private set; }

    /// <summary>A place to return to with <see cref="Release"/>.</summary>
    public int Mark => next;

    /// <summary>Takes back everything lent since <paramref name="mark"/>.</summary>
    public void Release(int mark)
    {
        if ((uint)mark > (uint)next)
            throw new ArgumentOutOfRangeException(nameof(mark), $"Arena: mark {mark} lies past the {next} tensors that are lent");
        (next, Generation) = (mark, Generation + 1);
    }

    /// <summary>Takes everything back.</summary>
    public void Reset() => (next, Generation) = (0, Generation + 1);

    /// <summary>Bytes held, lent or not.</summary>
    public long ByteCount
    {
        get
        {
            long bytes = 0;
            foreach (Tensor tensor in tensors)
                bytes += 4L * tensor.Capacity;
            return bytes;
        }
    }
}
