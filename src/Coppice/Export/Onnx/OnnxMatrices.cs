using System.Runtime.InteropServices;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;
using Google.Protobuf;
using static Coppice.Export.Onnx.TensorProto.Types;

namespace Coppice.Export.Onnx;

/// <summary>A tensor of the file beside the graph.</summary>
/// <param name="Source">Its name and bytes.</param>
/// <param name="Type">ONNX's type of a number.</param>
/// <param name="Shape">The sizes of its axes.</param>
sealed record OnnxTensor(TensorSource Source, DataType Type, IReadOnlyList<long> Shape);

/// <summary>A model's parameters in a graph: plain matrices as they are stored, integers by the operation asked for, anything else spread out.</summary>
sealed class OnnxMatrices(OnnxGraph graph, DecoderModel model, OnnxPrecision precision, OnnxIntegers integers, Refusal refusal)
{
    readonly Dictionary<string, Weight> weights = model.Matrices().ToDictionary(part => part.Name, part => part.Layer.Weight, StringComparer.Ordinal);
    readonly Dictionary<string, DataType> tables = new(StringComparer.Ordinal);

    /// <summary>What products are computed in.</summary>
    public DataType Type => precision == OnnxPrecision.Float32 ? DataType.Float : DataType.Float16;

    /// <summary>Everything for the file beside the graph, in the order of the computation.</summary>
    public List<OnnxTensor> Tensors { get; } = [];

    /// <summary>The rows of a table that numbers of any shape name.</summary>
    public string Rows(string name, string numbers)
    {
        // The rows are widened, not the table.
        string rows = graph.Add("Gather", [Stored(name), numbers], ("axis", 0L));
        return Widened(rows, tables[name]);
    }

    /// <summary>x [rows, inputs] times a matrix, [rows, outputs], and with a bias where there is one.</summary>
    public string Multiply(string name, string x, Tensor? bias)
    {
        if (tables.ContainsKey(name) || IntegerMatrix.Find(Entry(name), "ONNX") is not { } matrix || !OnnxPacking.Fits(matrix.Weight, integers))
            return Product(x, Widened(Stored(name), tables[name]));
        if (matrix.Order is { } order)
        {
            Tensors.Add(new OnnxTensor(TensorSource.Raw(name + OnnxPacking.Order, DType.I64, [order.Length], Array.ConvertAll(order, input => (long)input)), DataType.Int64, [order.Length]));
            x = graph.Add("Gather", [x, name + OnnxPacking.Order], ("axis", 1L));
        }
        IReadOnlyList<OnnxTensor> parts = OnnxPacking.Parts(name, matrix.Weight, integers, precision);
        IEnumerable<TensorSource> sources = TensorSource.Parts(Entry(name).Weight!, made => OnnxPacking.Parts(name, IntegerMatrix.Find(new CheckpointEntry(name + ".weight", made), "ONNX")!.Weight, integers, precision).Select(part => part.Source));
        Tensors.AddRange(parts.Zip(sources, (part, source) => part with { Source = source }));
        string[] stored = [.. parts.Select(part => part.Source.Name)];
        int group = OnnxPacking.BlockSize(matrix.Weight, integers);
        if (integers == OnnxIntegers.DequantizeLinear)
            return Product(x, group == 0 ? graph.Add("DequantizeLinear", stored, ("axis", 0L)) : graph.Add("DequantizeLinear", stored, ("axis", 1L), ("block_size", (long)group)));
        string y = graph.Add("com.microsoft", "MatMulNBits", [x, .. stored], ("K", (long)matrix.Weight.Columns), ("N", (long)matrix.Weight.Rows), ("bits", (long)OnnxPacking.Bits(matrix.Weight)), ("block_size", (long)group));
        return bias is null ? y : graph.Add("Add", [y, Vector(name + ".bias", bias, Type)]);

        string Product(string from, string table) => graph.Add("Gemm", bias is null ? [from, table] : [from, table, Vector(name + ".bias", bias, Type)], ("transB", 1L));
    }

    /// <summary>A vector, kept in the graph.</summary>
    public string Vector(string name, Tensor values, DataType type)
    {
        ReadOnlySpan<byte> bytes = MemoryMarshal.AsBytes<float>(values.Data);
        if (type == DataType.Float16)
            bytes = MemoryMarshal.AsBytes<Half>(Array.ConvertAll(values.Data.ToArray(), value => (Half)value));
        graph.Graph.Initializer.Add(new TensorProto { Name = name, DataType = type, Dims = { values.Shape[0] }, RawData = ByteString.CopyFrom(bytes) });
        return name;
    }

    // A plain table, once, however many read it.
    string Stored(string name)
    {
        string stored = name + ".weight";
        if (tables.ContainsKey(name))
            return stored;
        Weight weight = weights[name], made = DeferredWeight.Made(weight);
        DType type = PlainForm.TypeOf(made);
        if (precision == OnnxPrecision.Float16 && type != DType.F16)
        {
            if (PlainForm.IsPacked(made))
                refusal.Note(stored, $"ONNX holds no {made.Kind} here, wanted f16");
            type = DType.F16;
        }
        Tensors.Add(new OnnxTensor(TensorSource.Dense(stored, type, PlainForm.As(weight, type)), OnnxPacking.TypeOf(type), [made.Rows, made.Columns]));
        tables.Add(name, OnnxPacking.TypeOf(type));
        return stored;
    }

    string Widened(string x, DataType from) => from == Type ? x : graph.Add("Cast", [x], ("to", (long)Type));

    CheckpointEntry Entry(string name) => new(name + ".weight", DeferredWeight.Changed(weights[name], GgufGrids.ToIntegers));
}
