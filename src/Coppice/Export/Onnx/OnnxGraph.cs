using System.Globalization;
using System.Runtime.InteropServices;
using Google.Protobuf;

namespace Coppice.Export.Onnx;

/// <summary>A graph in the making. Every operation gives the name of its result, which others take.</summary>
sealed class OnnxGraph
{
    readonly Dictionary<string, string> constants = new(StringComparer.Ordinal);

    /// <summary>What was made so far.</summary>
    public GraphProto Graph { get; } = new() { Name = "decoder" };

    /// <summary>An input of the model; sizes are numbers or names.</summary>
    public string Input(string name, TensorProto.Types.DataType type, params ReadOnlySpan<object> sizes)
    {
        Graph.Input.Add(Value(name, type, sizes));
        return name;
    }

    /// <summary>Gives a result the name of an output of the model.</summary>
    public void Output(string name, string result, TensorProto.Types.DataType type, params ReadOnlySpan<object> sizes)
    {
        Graph.Output.Add(Value(name, type, sizes));
        Graph.Node.Add(new NodeProto { Name = name, OpType = "Identity", Input = { result }, Output = { name } });
    }

    /// <summary>An operation of the standard, with whole numbers, lists of them, float numbers or texts as attributes.</summary>
    public string Add(string operation, IReadOnlyList<string> inputs, params ReadOnlySpan<(string Name, object Value)> attributes) => Add("", operation, inputs, attributes);

    /// <summary>An operation of another domain.</summary>
    public string Add(string domain, string operation, IReadOnlyList<string> inputs, params ReadOnlySpan<(string Name, object Value)> attributes)
    {
        string name = string.Create(CultureInfo.InvariantCulture, $"{operation}_{Graph.Node.Count}");
        NodeProto node = new() { Name = name, OpType = operation, Domain = domain, Output = { name } };
        node.Input.AddRange(inputs);
        foreach ((string key, object value) in attributes)
            node.Attribute.Add(value switch
            {
                long number => new AttributeProto { Name = key, Type = AttributeProto.Types.AttributeType.Int, I = number },
                float number => new AttributeProto { Name = key, Type = AttributeProto.Types.AttributeType.Float, F = number },
                string text => new AttributeProto { Name = key, Type = AttributeProto.Types.AttributeType.String, S = ByteString.CopyFromUtf8(text) },
                long[] numbers => new AttributeProto { Name = key, Type = AttributeProto.Types.AttributeType.Ints, Ints = { numbers } },
                _ => throw new ArgumentException($"OnnxGraph: attribute {key} is a {value.GetType()}"),
            });
        Graph.Node.Add(node);
        return name;
    }

    /// <summary>Whole numbers, kept in the graph.</summary>
    public string Constant(params ReadOnlySpan<long> numbers) => Constant(TensorProto.Types.DataType.Int64, [numbers.Length], MemoryMarshal.AsBytes(numbers));

    /// <summary>One whole number without an axis.</summary>
    public string Scalar(long number) => Constant(TensorProto.Types.DataType.Int64, [], MemoryMarshal.AsBytes([number]));

    /// <summary>Float numbers, kept in the graph.</summary>
    public string Constant(params ReadOnlySpan<float> numbers) => Constant(TensorProto.Types.DataType.Float, [numbers.Length], MemoryMarshal.AsBytes(numbers));

    /// <summary>One number of a type, without an axis.</summary>
    public string Scalar(float number, TensorProto.Types.DataType type) => type == TensorProto.Types.DataType.Float
        ? Constant(type, [], MemoryMarshal.AsBytes([number]))
        : Constant(type, [], MemoryMarshal.AsBytes([(Half)number]));

    // One and the same constant is there once.
    string Constant(TensorProto.Types.DataType type, long[] shape, ReadOnlySpan<byte> bytes)
    {
        string key = $"{type} {string.Join(',', shape)} {Convert.ToHexString(bytes)}";
        if (constants.TryGetValue(key, out string? known))
            return known;
        string name = string.Create(CultureInfo.InvariantCulture, $"constant_{constants.Count}");
        Graph.Initializer.Add(new TensorProto { Name = name, DataType = type, Dims = { shape }, RawData = ByteString.CopyFrom(bytes) });
        constants.Add(key, name);
        return name;
    }

    static ValueInfoProto Value(string name, TensorProto.Types.DataType type, ReadOnlySpan<object> sizes)
    {
        TensorShapeProto shape = new();
        foreach (object size in sizes)
            shape.Dim.Add(size is string symbol ? new TensorShapeProto.Types.Dimension { DimParam = symbol } : new TensorShapeProto.Types.Dimension { DimValue = Convert.ToInt64(size, CultureInfo.InvariantCulture) });
        return new ValueInfoProto { Name = name, Type = new TypeProto { TensorType = new TypeProto.Types.Tensor { ElemType = type, Shape = shape } } };
    }
}
