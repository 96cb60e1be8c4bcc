using Coppice.Coding;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Federation.Voting;

/// <summary>Pruned matrices on their way: the numbers that a mask keeps, row after row on one axis, so that every codec has fewer to code; and the masks, a bit a number, entropy coded.</summary>
static class MaskedNumbers
{
    const string Suffix = ".mask";

    /// <summary>The numbers that masks keep; tensors without a mask as they are.</summary>
    public static ParameterSet Pack(ParameterSet numbers, ParameterSet masks) => numbers.Map((name, tensor) => masks.Tensors.TryGetValue(name, out Tensor? mask) ? Packed(tensor, mask) : tensor);

    /// <summary>The whole tensors, 0 where masks keep nothing.</summary>
    public static ParameterSet Unpack(ParameterSet packed, ParameterSet masks) => packed.Map((name, tensor) => masks.Tensors.TryGetValue(name, out Tensor? mask) ? Unpacked(tensor, mask) : tensor);

    /// <summary>The masks as they are sent.</summary>
    public static IEnumerable<TensorSource> Sources(ParameterSet masks) => masks.Tensors.Select(part =>
    {
        byte[] bits = new byte[(part.Value.Shape.Length + 7) / 8];
        for (int i = 0; i < part.Value.Shape.Length; i++)
            if (part.Value.Data[i] != 0)
                bits[i >> 3] |= (byte)(1 << (i & 7));
        ByteWriter writer = new();
        Rans.Write(writer, bits);
        return TensorSource.Raw(part.Key + Suffix, DType.U8, [writer.Length], writer.ToArray());
    });

    /// <summary>The model of a task whose matrices come so.</summary>
    /// <param name="name">The task, in errors.</param>
    /// <param name="config">The model's sizes.</param>
    /// <param name="received">What came.</param>
    /// <param name="task">Which matrices have masks.</param>
    /// <param name="isOther">Which tensors are no part of the model.</param>
    /// <param name="masks">The masks.</param>
    /// <exception cref="CoppiceException">Something is missing, has another shape, or is there without a use.</exception>
    public static DecoderModel Build(string name, DecoderConfig config, SafeTensors received, LocalMasks task, Func<string, bool> isOther, out ParameterSet masks)
    {
        List<(string Name, Tensor Tensor)> found = [];
        int used = 0;
        DecoderModel model = new(config, (tensor, shape) => new DenseWeight(Read(tensor, shape)), Read);
        if (found.Count != task.Names.Length)
            throw FormatError.At(name, $"has masks of {task.Names.Length} matrices, of which the model has {found.Count}");
        if (received.Names.Count(tensor => !isOther(tensor)) is var all && all != used)
            throw FormatError.At(name, $"has {all} tensors, wanted {used}");
        masks = new ParameterSet(found);
        return model;

        Tensor Read(string tensor, Shape shape)
        {
            used++;
            Tensor values = received.ReadTensor(tensor);
            if (task.Names.Contains(tensor))
            {
                used++;
                Tensor mask = ReadMask(received, tensor, shape);
                found.Add((tensor, mask));
                if (values.Shape.Rank == 1 && values.Shape.Length == shape.Length - mask.Data.Count(0f))
                    values = Unpacked(values, mask);
            }
            return values.Shape == shape ? values : throw FormatError.At(name, $"tensor '{tensor}' is {values.Shape}, wanted {(task.Names.Contains(tensor) ? $"what its mask keeps of {shape}" : $"{shape}")}");
        }
    }

    static Tensor ReadMask(SafeTensors received, string tensor, Shape shape)
    {
        TensorEntry entry = received.Find(tensor + Suffix);
        if (entry.DType != DType.U8)
            throw FormatError.At(received.Path, $"tensor '{entry.Name}' is {entry.DType}, wanted {DType.U8}");
        byte[] bits = new byte[(shape.Length + 7) / 8];
        ByteReader reader = new($"{received.Path}: tensor '{entry.Name}'", entry.ToBytes());
        Rans.Read(ref reader, bits);
        reader.End();
        Tensor mask = new(shape);
        for (int i = 0; i < shape.Length; i++)
            mask.Data[i] = bits[i >> 3] >> (i & 7) & 1;
        return mask;
    }

    static Tensor Packed(Tensor values, Tensor mask)
    {
        Tensor packed = new([values.Shape.Length - mask.Data.Count(0f)]);
        int to = 0;
        for (int i = 0; i < mask.Shape.Length; i++)
            if (mask.Data[i] != 0)
                packed.Data[to++] = values.Data[i];
        return packed;
    }

    static Tensor Unpacked(Tensor packed, Tensor mask)
    {
        Tensor values = new(mask.Shape);
        int from = 0;
        for (int i = 0; i < mask.Shape.Length; i++)
            if (mask.Data[i] != 0)
                values.Data[i] = packed.Data[from++];
        return values;
    }
}
