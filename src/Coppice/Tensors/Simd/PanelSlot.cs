namespace Coppice.Tensors.Simd;

/// <summary>Memory for the panels of one group of matrices after another: what was taken for the last group is used again for the next, whose panels take its place.</summary>
sealed class PanelSlot
{
    readonly List<byte[]> free = [], taken = [];

    /// <summary>Bytes of all that was ever taken.</summary>
    public long Bytes => free.Concat(taken).Sum(memory => (long)memory.Length);

    /// <summary>Bytes of what the present group took.</summary>
    public long TakenBytes => taken.Sum(memory => (long)memory.Length);

    /// <summary>Says that nobody reads what was taken so far any more.</summary>
    public void Empty()
    {
        free.AddRange(taken);
        taken.Clear();
    }

    /// <summary>Zeros: the smallest piece there is that is large enough, or a new one.</summary>
    public byte[] Take(int bytes)
    {
        int best = -1;
        for (int i = 0; i < free.Count; i++)
            if (free[i].Length >= bytes && (best < 0 || free[i].Length < free[best].Length))
                best = i;
        byte[] memory;
        if (best < 0)
            memory = GC.AllocateArray<byte>(bytes, pinned: true);
        else
        {
            memory = free[best];
            free.RemoveAt(best);
            memory.AsSpan().Clear();
        }
        taken.Add(memory);
        return memory;
    }
}
