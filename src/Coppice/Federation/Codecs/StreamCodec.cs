using System.Numerics.Tensors;
using Coppice.Coding;
using Coppice.Formats;
using Coppice.Tensors;
using Tensor = Coppice.Tensors.Tensor;

namespace Coppice.Federation.Codecs;

/// <summary>
/// A codec whose message is one tensor of bytes, <c>update</c> (U8): all numbers of the delta in a row, tensors by name. A small model's update is then not outweighed by names and tables.
/// With error feedback what is encoded is p = D + e, and e = p - C(p) is kept (Karimireddy et al. 2019), C(p) being what the server decodes.
/// </summary>
public abstract class StreamCodec : ICodec
{
    const string StreamName = "update";

    /// <inheritdoc/>
    public abstract string Name { get; }

    /// <inheritdoc/>
    public abstract CodecTraits Traits { get; }

    /// <inheritdoc/>
    public virtual UpdateKind Kind => UpdateKind.Delta;

    /// <inheritdoc/>
    public virtual ParameterSet? NewMemory(ParameterSet received) => Traits.HasFlag(CodecTraits.Stateful) ? received.Zeros() : null;

    /// <summary>Appends the code of <paramref name="numbers"/>, which lie as <paramref name="model"/>'s tensors do.</summary>
    private protected abstract void Write(ByteWriter writer, ParameterSet model, float[] numbers, ParameterSet? memory, Random random);

    /// <summary>Reads a code that is not trusted. All <paramref name="numbers"/> are 0 before.</summary>
    private protected abstract void Read(ref ByteReader reader, ParameterSet model, float[] numbers);

    /// <inheritdoc/>
    public IReadOnlyList<TensorSource> Encode(ParameterSet received, ParameterSet trained, ParameterSet? memory, Random random)
    {
        float[] numbers = new float[LengthOf(received)];
        foreach ((string name, Range range) in Places(received))
        {
            Span<float> part = numbers.AsSpan(range);
            Prepare(received.Tensors[name].Data, trained.Tensors[name].Data, part);
            if (memory is not null)
                TensorPrimitives.Add<float>(part, memory.Tensors[name].Data, part);
            float largest = TensorPrimitives.MaxMagnitude<float>(part);
            if (!float.IsFinite(largest))
                throw new CoppiceException($"{Name}: a delta of {largest} in tensor '{name}'; the local training diverged");
        }
        ByteWriter writer = new();
        Write(writer, received, numbers, memory, random);
        byte[] code = writer.ToArray();
        if (memory is not null)
        {
            float[] restored = new float[numbers.Length];
            ByteReader reader = new(Name, code);
            Read(ref reader, received, restored);
            foreach ((string name, Range range) in Places(received))
                TensorPrimitives.Subtract(numbers.AsSpan(range), restored.AsSpan(range), memory.Tensors[name].Data);
        }
        return [TensorSource.Raw(StreamName, DType.U8, [code.Length], code)];
    }

    /// <inheritdoc/>
    public ParameterSet Decode(SafeTensors message, ParameterSet model)
    {
        TensorEntry entry = message.Find(StreamName);
        if (entry.DType != DType.U8 || entry.Shape.Length != 1 || message.Entries.Count != 1)
            throw FormatError.At(message.Path, $"has {message.Entries.Count:N0} tensors, '{StreamName}' as {entry.DType} of {entry.Shape.Length} axes; wanted it alone, as U8 of one");
        // What comes out is as long as the model, whatever the message says.
        float[] numbers = new float[LengthOf(model)];
        ByteReader reader = new($"{message.Path}: tensor '{StreamName}'", entry.ToBytes());
        Read(ref reader, model, numbers);
        reader.End();
        if (!float.IsFinite(TensorPrimitives.MaxMagnitude<float>(numbers)))
            throw reader.Error("decodes to a number that is not finite");
        Dictionary<string, Range> places = Places(model).ToDictionary(part => part.Name, part => part.Range);
        return model.Map((name, tensor) => Tensor.From(tensor.Shape, numbers.AsSpan(places[name])));
    }

    // What is encoded of one tensor: its delta.
    private protected virtual void Prepare(ReadOnlySpan<float> received, ReadOnlySpan<float> trained, Span<float> numbers) => TensorPrimitives.Subtract(trained, received, numbers);

    /// <summary>Where each tensor's numbers lie in the row.</summary>
    private protected static IEnumerable<(string Name, Range Range)> Places(ParameterSet model)
    {
        int start = 0;
        foreach ((string name, Tensor tensor) in model.Tensors)
        {
            yield return (name, start..(start + tensor.Shape.Length));
            start += tensor.Shape.Length;
        }
    }

    /// <summary>The row cut into runs of at most <paramref name="length"/> numbers, none over two tensors.</summary>
    private protected static IEnumerable<Range> Runs(ParameterSet model, int length)
    {
        foreach ((_, Range range) in Places(model))
            for (int start = range.Start.Value; start < range.End.Value; start += length)
                yield return start..Math.Min(range.End.Value, start + length);
    }

    static int LengthOf(ParameterSet model) => model.Count <= Array.MaxLength ? (int)model.Count : throw new CoppiceException($"Federation: a model of {model.Count:N0} numbers, more than the {Array.MaxLength:N0} that one code holds; wanted codec identity, float16 or int8");
}
