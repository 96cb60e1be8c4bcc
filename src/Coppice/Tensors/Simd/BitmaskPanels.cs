using System.Runtime.CompilerServices;

namespace Coppice.Tensors.Simd;

/// <summary>
/// A matrix [outputs, inputs] of halves with zeros anywhere. A panel is 32 outputs; at each inner step it has a mask of 32 bits, one an output, and the halves of
/// the outputs whose bits are set, one behind another:
/// <code>
/// masks   step 0 | step 1 | ...          kept   step 0: h h h | step 1: h h h h h | ...
/// </code>
/// </summary>
internal sealed unsafe class BitmaskPanels
{
    /// <summary>Outputs of a panel.</summary>
    public const int Lanes = 32;

    /// <summary>Steps from one recorded place among the kept numbers to the next.</summary>
    public const int Stretch = 32;

    // A whole vector is loaded even where few numbers are left.
    const int Padding = Lanes;

    readonly uint[] masks;
    readonly ushort[] kept; // pinned
    readonly long[] starts; // [panel][ceil(inputs / Stretch)], and where the last panel ends

    /// <summary>Packs a matrix whose rows <paramref name="unpack"/> gives as the bits of halves, from several threads at a time; called twice for each row.</summary>
    public BitmaskPanels(WorkerPool pool, int outputs, int inputs, Action<int, Span<ushort>> unpack)
    {
        (Outputs, Inputs) = (outputs, inputs);
        masks = GC.AllocateArray<uint>(checked(PanelCount * inputs), pinned: true);
        starts = new long[PanelCount * Stretches + 1];
        PackJob job = new() { Panels = this, Unpack = unpack, Parts = Math.Min(pool.Threads, Math.Max(PanelCount, 1)) };
        pool.Run(job.Parts, ref job);
        long sum = 0;
        foreach (ref long start in starts.AsSpan())
            (start, sum) = (sum, sum + start);
        kept = GC.AllocateUninitializedArray<ushort>(checked((int)(sum + Padding)), pinned: true);
        job.Kept = (ushort*)Unsafe.AsPointer(ref kept[0]);
        pool.Run(job.Parts, ref job);
    }

    /// <summary>Rows of the matrix.</summary>
    public int Outputs { get; }

    /// <summary>Columns of the matrix.</summary>
    public int Inputs { get; }

    /// <summary>Panels, the last one padded with outputs that keep nothing.</summary>
    public int PanelCount => (Outputs + Lanes - 1) / Lanes;

    /// <summary>Bytes of masks, kept numbers and their places.</summary>
    public long ByteCount => 4L * masks.Length + 2L * kept.Length + 8L * starts.Length;

    int Stretches => (Inputs + Stretch - 1) / Stretch;

    /// <summary>A panel's masks from a step on, and the numbers that they speak of; valid as long as this lives.</summary>
    public uint* At(int panel, int step, out ushort* numbers)
    {
        uint* mask = (uint*)Unsafe.AsPointer(ref masks[0]) + (nint)panel * Inputs;
        numbers = (ushort*)Unsafe.AsPointer(ref kept[0]) + starts[panel * Stretches + step / Stretch];
        for (int before = step - step % Stretch; before < step; before++)
            numbers += System.Numerics.BitOperations.PopCount(mask[before]);
        return mask + step;
    }

    // The first time it sets masks and counts, the second, once there is room, it moves numbers.
    struct PackJob : IJob
    {
        public BitmaskPanels Panels;
        public Action<int, Span<ushort>> Unpack;
        public ushort* Kept;
        public int Parts;

        public readonly void Execute(int part)
        {
            ushort[] rows = new ushort[Lanes * Panels.Inputs];
            (int first, int count) = Split.Part(Panels.PanelCount, 1, Parts, part);
            for (int panel = first; panel < first + count; panel++)
            {
                int outputs = Math.Min(Lanes, Panels.Outputs - panel * Lanes);
                for (int lane = 0; lane < outputs; lane++)
                    Unpack(panel * Lanes + lane, rows.AsSpan(lane * Panels.Inputs, Panels.Inputs));
                if (Kept is null)
                    Mark(rows, outputs, Panels.masks.AsSpan(panel * Panels.Inputs, Panels.Inputs), Panels.starts.AsSpan(panel * Panels.Stretches, Panels.Stretches));
                else
                    Move(rows, outputs, Panels.masks.AsSpan(panel * Panels.Inputs, Panels.Inputs), Kept + Panels.starts[panel * Panels.Stretches]);
            }
        }

        static void Mark(ReadOnlySpan<ushort> rows, int outputs, Span<uint> masks, Span<long> counts)
        {
            for (int step = 0; step < masks.Length; step++)
            {
                uint mask = 0;
                for (int lane = 0; lane < outputs; lane++)
                    if ((rows[lane * masks.Length + step] & 0x7fff) != 0)
                        mask |= 1u << lane;
                masks[step] = mask;
                counts[step / Stretch] += System.Numerics.BitOperations.PopCount(mask);
            }
        }

        static void Move(ReadOnlySpan<ushort> rows, int outputs, ReadOnlySpan<uint> masks, ushort* to)
        {
            for (int step = 0; step < masks.Length; step++)
                for (int lane = 0; lane < outputs; lane++)
                    if ((masks[step] >> lane & 1) != 0)
                        *to++ = rows[lane * masks.Length + step];
        }
    }
}
