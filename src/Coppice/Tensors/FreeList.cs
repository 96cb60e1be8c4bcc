using System.Runtime.InteropServices;

namespace Coppice.Tensors;

/// <summary>Memory that comes and goes in any order during a pass, by exact size: a second equal pass finds all of it here. Not thread-safe.</summary>
internal sealed class FreeList
{
    readonly Dictionary<int, Shelf> shelves = [];

    /// <summary>Bytes that were ever taken and are still kept, whether in use or not.</summary>
    public long ByteCount { get; private set; }

    /// <summary>Room for <paramref name="length"/> numbers, whose content is whatever was there.</summary>
    public PinnedFloats Take(int length)
    {
        Shelf shelf = At(length);
        if (shelf.Free.TryPop(out PinnedFloats? memory))
        {
            shelf.Least = Math.Min(shelf.Least, shelf.Free.Count);
            return memory;
        }
        ByteCount += 4L * length;
        return new PinnedFloats(length);
    }

    /// <summary>Takes memory back.</summary>
    public void Give(PinnedFloats memory) => At(memory.Length).Free.Push(memory);

    /// <summary>Ends a pass, when all memory is back. Of each size of which the pass left some unused, one piece is let go, so that sizes that come no more do not stay for good.</summary>
    public void EndPass()
    {
        foreach ((int length, Shelf shelf) in shelves)
        {
            if (shelf.Least > 0)
            {
                shelf.Free.Pop();
                ByteCount -= 4L * length;
            }
            shelf.Least = shelf.Free.Count;
        }
    }

    Shelf At(int length) => CollectionsMarshal.GetValueRefOrAddDefault(shelves, length, out _) ??= new Shelf();

    sealed class Shelf
    {
        public readonly Stack<PinnedFloats> Free = new();

        /// <summary>The fewest pieces that lay here since the pass began.</summary>
        public int Least;
    }
}
