using System.Numerics;
using Coppice.Formats;
using Coppice.Weights;
using static Coppice.Export.Onnx.TensorProto.Types;

namespace Coppice.Export.Onnx;

/// <summary>
/// Integers in groups as ONNX stores them, in 4 bits (narrower ones too) or 8. MatMulNBits has blocks of a power of two of at least 16 inputs, codes [outputs, blocks, bytes of a block] whose
/// zero is the middle unless zero points are given; DequantizeLinear has signed codes [outputs, inputs] or, with zero points, unsigned ones. Of two codes in a byte the first is the lower.
/// </summary>
static class OnnxPacking
{
    /// <summary>What the names of a matrix's parts end in.</summary>
    public const string Codes = ".weight_codes", Scales = ".weight_scales", Zeros = ".weight_zero_points", Order = ".weight_order";

    const int LeastBlock = 16, LargestBlock = 128;

    /// <summary>Bits that a code is stored in.</summary>
    public static int Bits(IntWeight weight) => weight.Bits <= 4 ? 4 : 8;

    /// <summary>Inputs of a block; 0 where DequantizeLinear has one scale a row. MatMulNBits repeats scales where a group is no power of two, or a whole row.</summary>
    public static int BlockSize(IntWeight weight, OnnxIntegers integers)
    {
        if (integers == OnnxIntegers.DequantizeLinear)
            return weight.GroupSize == IntWeight.WholeRow ? 0 : weight.GroupSize;
        return weight.GroupSize == IntWeight.WholeRow ? LargestBlock : Math.Min(LargestBlock, 1 << BitOperations.TrailingZeroCount(weight.GroupSize));
    }

    /// <summary>Whether a matrix has the groups that an operation knows.</summary>
    public static bool Fits(IntWeight weight, OnnxIntegers integers) => integers == OnnxIntegers.MatMulNBits
        ? BlockSize(weight, integers) >= LeastBlock
        : weight.Columns % 2 == 0 && (weight.GroupSize == IntWeight.WholeRow || weight.Columns % weight.GroupSize == 0 && weight.GroupsPerRow % 2 == 0);

    /// <summary>ONNX's type for plain numbers.</summary>
    public static DataType TypeOf(DType type) => type switch { DType.F16 => DataType.Float16, DType.BF16 => DataType.Bfloat16, _ => DataType.Float };

    /// <summary>Codes, scales and, where the matrix has them, zero points.</summary>
    public static IReadOnlyList<OnnxTensor> Parts(string name, IntWeight weight, OnnxIntegers integers, OnnxPrecision precision)
    {
        int bits = Bits(weight), block = BlockSize(weight, integers), perRow = block == 0 ? 1 : (weight.Columns + block - 1) / block, rowBytes = perRow * bits / 8;
        bool isBlocked = integers == OnnxIntegers.MatMulNBits;
        long[] shape = isBlocked ? [weight.Rows, perRow, block * bits / 8] : [weight.Rows, weight.Columns], scaleShape = isBlocked ? [(long)weight.Rows * perRow] : block == 0 ? [weight.Rows] : [weight.Rows, perRow];
        DataType codeType = isBlocked ? DataType.Uint8 : (bits, weight.IsSymmetric) switch { (4, true) => DataType.Int4, (4, false) => DataType.Uint4, (_, true) => DataType.Int8, _ => DataType.Uint8 };
        DType scaleType = precision == OnnxPrecision.Float16 ? DType.F16 : DType.F32;
        int codesPerRow = isBlocked ? perRow * block : weight.Columns;
        List<OnnxTensor> parts =
        [
            new(TensorSource.Rows<byte>(name + Codes, DType.U8, [(long)weight.Rows * codesPerRow * bits / 8], weight.Rows, (first, count, packed) => PackCodes(weight, first, count, bits, codesPerRow, isSigned: !isBlocked && weight.IsSymmetric, packed)), codeType, shape),
            new(TensorSource.Floats(name + Scales, scaleType, Coppice.Tensors.Tensor.From([weight.Rows * perRow], Spread(weight, block, perRow, group => weight.HasWideScales ? weight.WideScales[group] : (float)weight.Scales[group]))), TypeOf(scaleType), scaleShape),
        ];
        if (!weight.IsSymmetric)
        {
            // MatMulNBits begins each row's zero points on a byte, DequantizeLinear packs all of them.
            int padded = isBlocked && bits == 4 ? perRow + 1 & ~1 : perRow;
            byte[] zeros = Spread(weight, block, perRow, group => weight.Zeros[group]), rows = new byte[weight.Rows * padded + 1 & ~1];
            for (int row = 0; row < weight.Rows; row++)
                zeros.AsSpan(row * perRow, perRow).CopyTo(rows.AsSpan(row * padded));
            byte[] packed = Pack(rows, bits)[..(((long)weight.Rows * padded * bits + 7) / 8 is var count ? (int)count : 0)];
            parts.Add(new(Bytes(name + Zeros, packed.Length, () => packed), isBlocked ? DataType.Uint8 : codeType, isBlocked ? [packed.Length] : scaleShape));
        }
        return parts;
    }

    static TensorSource Bytes(string name, long count, Func<byte[]> make) => TensorSource.Made(name, DType.U8, [count], make);

    // One value a block from one a group.
    static T[] Spread<T>(IntWeight weight, int block, int perRow, Func<int, T> of)
    {
        T[] values = new T[weight.Rows * perRow];
        int group = weight.GroupSize == IntWeight.WholeRow ? weight.Columns : weight.GroupSize;
        for (int row = 0; row < weight.Rows; row++)
            for (int i = 0; i < perRow; i++)
                values[row * perRow + i] = of(row * weight.GroupsPerRow + i * block / group);
        return values;
    }

    static void PackCodes(IntWeight weight, int firstRow, int rows, int bits, int codesPerRow, bool isSigned, Span<byte> packed)
    {
        byte[] row = new byte[codesPerRow];
        // A symmetric matrix's zero becomes the stored width's, or 0 where codes are signed; zero points are as they are.
        int shift = weight.IsSymmetric ? (isSigned ? 0 : 1 << bits - 1) - weight.Middle : 0;
        for (int i = 0; i < rows; i++)
        {
            weight.UnpackCodes(firstRow + i, row.AsSpan(0, weight.Columns));
            if (shift != 0)
                for (int j = 0; j < weight.Columns; j++)
                    row[j] = (byte)(row[j] + shift & (1 << bits) - 1);
            Pack(row, bits).CopyTo(packed[(i * codesPerRow * bits / 8)..]);
        }
    }

    static byte[] Pack(byte[] codes, int bits)
    {
        if (bits == 8)
            return codes;
        byte[] packed = new byte[codes.Length / 2];
        for (int i = 0; i < packed.Length; i++)
            packed[i] = (byte)(codes[2 * i] | codes[2 * i + 1] << 4);
        return packed;
    }
}
