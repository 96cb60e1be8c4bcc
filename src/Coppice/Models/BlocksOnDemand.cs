using System.Globalization;
using Coppice.Tensors;
using Coppice.Tensors.Simd;
using Coppice.Weights;
using Coppice.Weights.Blocks;

namespace Coppice.Models;

/// <summary>
/// Keeps what kernels hold of a model's matrices under a number of bytes: the first blocks stay, as many as fit, and the others take turns in one place, read from their file again in every pass. A pass goes
/// through the blocks from first to last, so that which of them stay makes no difference but their number. Logits are the same. One pass at a time.
/// </summary>
public sealed class BlocksOnDemand
{
    const string Always = "the matrices outside of the blocks or in float32";

    readonly PackedWeight[][] blocks;
    readonly List<PanelSlot> kept = [];
    readonly long limit;
    PanelSlot? shared;
    int? visitor;

    /// <summary>Has a model hold at most <paramref name="bytes"/> of panels, its table and head and what a block has in float32 (such as a router, which GGUF keeps so) included.</summary>
    /// <exception cref="CoppiceException">A block has no halves or GGUF blocks that lie in a file, or a matrix of another kind; or what always stays takes more.</exception>
    public BlocksOnDemand(Model model, long bytes)
    {
        blocks = [.. model.Blocks.Select(Read)];
        HashSet<Weight> within = [.. blocks.SelectMany(block => block)];
        long rest = model.Matrices().Where(matrix => !within.Contains(matrix.Layer.Weight)).Sum(matrix => matrix.Layer.Weight.ByteCount);
        limit = bytes - rest;
        (Limit, RestBytes) = (bytes, rest);
        if (limit <= 0)
            throw Below(rest, Always);

        PackedWeight[] Read(TransformerBlock block, int index)
        {
            Weight[] all = [.. block.Stages.SelectMany(stage => stage.Matrices).Select(layer => layer.Weight)];
            PackedWeight[] read = [.. all.Where(weight => weight is HalfWeight or BlockWeight).Cast<PackedWeight>()];
            return all.FirstOrDefault(weight => weight is not (HalfWeight or BlockWeight) && (weight is not DenseWeight || read.Length == 0)) is { } other
                ? throw new CoppiceException($"block {index}: a matrix {other.Shape} is {other.Kind}, which is not read again on demand; convert the model to GGUF, or to a folder of 16-bit numbers")
                : read;
        }
    }

    /// <summary>The most bytes that panels may take.</summary>
    public long Limit { get; }

    /// <summary>Bytes of what always stays: the matrices outside of the blocks, and those in float32.</summary>
    public long RestBytes { get; }

    /// <summary>Bytes of panels now, table and head included.</summary>
    public long HeldBytes => RestBytes + kept.Sum(slot => slot.Bytes) + (shared?.Bytes ?? 0);

    /// <summary>Blocks that stay, once a pass went through all.</summary>
    public int KeptBlocks => kept.Count;

    /// <summary>Blocks read so far, those that stay once each.</summary>
    public long Reads { get; private set; }

    /// <summary>Has a block's matrices ready for products.</summary>
    /// <exception cref="CoppiceException">The block alone takes more than there is.</exception>
    internal void Enter(int index, WorkerPool pool)
    {
        if (index < kept.Count || index == visitor)
            return;
        if (visitor is { } last)
            Drop(last);
        PanelSlot slot = shared ?? new PanelSlot();
        slot.Empty();
        foreach (PackedWeight weight in blocks[index])
            weight.Pack(pool, slot);
        Reads++;
        while (kept.Count > 0 && kept.Sum(block => block.Bytes) + slot.Bytes > limit)
        {
            Drop(kept.Count - 1);
            kept.RemoveAt(kept.Count - 1);
        }
        if (slot.Bytes > limit)
        {
            Drop(index);
            throw Below(RestBytes + slot.Bytes, $"block {index.ToString(CultureInfo.InvariantCulture)} and {Always}");
        }
        // Another block of this size must find room beside those that stay, unless this is the last.
        bool stays = shared is null && kept.Count == index && kept.Sum(block => block.Bytes) + slot.Bytes * (index == blocks.Length - 1 ? 1 : 2) <= limit;
        if (stays)
            kept.Add(slot);
        else
            (shared, visitor) = (slot, index);
    }

    void Drop(int index)
    {
        foreach (PackedWeight weight in blocks[index])
            weight.Drop();
        visitor = visitor == index ? null : visitor;
    }

    CoppiceException Below(long wanted, string what) => new($"a limit of {Limit:N0} bytes is below the {wanted:N0} that {what} take; allow more, or compress the model further");
}
