using System.Runtime.InteropServices;

namespace Coppice.Tensors.Simd;

/// <summary>
/// Compares the integer kernels of a storage, when the first matrix of that storage is packed, with their scalar twin: a few rows times a corner of that matrix, at the width in use. A compiler or a
/// processor that gets one wrong costs speed then, and not a model's sense.
/// </summary>
public static class KernelSelfTest
{
    // One row has a kernel of its own; the others are cut into tiles of six, four and two. The twin does them one by one, as any number of rows gives the same bits.
    static readonly int[] RowCounts = [1, 10, 2];
    const int CornerBlocks = 2;

    static readonly Lock gate = new();

    /// <summary>Raised when a kernel did not give its twin's bits and the process goes on with narrower vectors; the text says so to a user.</summary>
    public static event Action<string>? Narrowed;

    /// <summary>Whether two results are the same, bit for bit.</summary>
    public static bool SameBits(ReadOnlySpan<float> a, ReadOnlySpan<float> b) => MemoryMarshal.AsBytes(a).SequenceEqual(MemoryMarshal.AsBytes(b));

    /// <summary>Compares the kernels that read <typeparamref name="TP"/>, the first time that it is asked to.</summary>
    internal static void Once<TP>(PackedPanels<TP> panels) where TP : struct, IIntegerPanels
    {
        if (Tested<TP>.Is || panels.Outputs == 0 || panels.Inputs == 0)
            return;
        lock (gate)
        {
            if (Tested<TP>.Is)
                return;
            PackedPanels<TP> corner = Corner(panels);
            using WorkerPool here = new(1);
            Check(typeof(TP).Name, () => Products(here, corner, RowCounts.SelectMany(rows => Enumerable.Repeat(1, rows))), () => Products(here, corner, RowCounts));
            Tested<TP>.Is = true;
        }
    }

    /// <summary>Finds the widest level, from the one in use down, at which <paramref name="product"/> gives the bits of the scalar <paramref name="twin"/>; if that is a narrower one, selects it and tells.</summary>
    internal static void Check(string kernel, Func<float[]> twin, Func<float[]> product)
    {
        SimdLevel wide = SimdLevel.Active, level = wide;
        float[] wanted = SimdLevel.On(SimdLevel.Scalar, twin);
        while (level > SimdLevel.Scalar && !SameBits(wanted, SimdLevel.On(level, product)))
            level--;
        if (level == wide)
            return;
        SimdLevel.Select(level);
        Narrowed?.Invoke($"{kernel}: {wide} does not give the bits of the scalar twin on this machine; computing with {level} instead. Please report this, with the processor and the version of .NET");
    }

    static PackedPanels<TP> Corner<TP>(PackedPanels<TP> panels) where TP : struct, IIntegerPanels
    {
        PackedPanels<TP> corner = new(Math.Min(panels.Outputs, TP.Lanes), Math.Min(panels.Inputs, CornerBlocks * TP.BlockSteps));
        panels.Panel(0)[..corner.PanelBytes].CopyTo(corner.Panel(0));
        return corner;
    }

    static float[] Products<TP>(WorkerPool pool, PackedPanels<TP> panels, IEnumerable<int> rowCounts) where TP : struct, IIntegerPanels
    {
        Random random = new(1);
        Int8Rows x = new();
        float[] all = new float[RowCounts.Sum() * panels.Outputs];
        Span<float> rest = all;
        foreach (int rows in rowCounts)
        {
            float[] numbers = new float[rows * panels.Inputs];
            foreach (ref float number in numbers.AsSpan())
                number = random.NextSingle() - 0.5f;
            x.Fill(pool, numbers, rows, panels.Inputs);
            IntegerProduct.Multiply(pool, panels, x, rest[..(rows * panels.Outputs)]);
            rest = rest[(rows * panels.Outputs)..];
        }
        return all;
    }

    static class Tested<TP> where TP : struct, IIntegerPanels
    {
        public static volatile bool Is;
    }
}
