using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Text.Json;
using Coppice.Tensors;

namespace Coppice.Formats;

/// <summary>A safetensors header, checked: u64 length, then JSON <c>{name: {dtype, shape, data_offsets}, "__metadata__": {text: text}}</c>, then the data without gaps or overlaps.</summary>
sealed class SafeTensorsHeader
{
    /// <summary>Longer headers are refused unread, as by the reference implementation.</summary>
    public const int MaxBytes = 100_000_000;

    readonly BinaryFile file;
    readonly Dictionary<string, TensorEntry> entries = new(StringComparer.Ordinal);
    readonly List<(long Begin, long End, string Name)> spans = [];
    readonly long dataStart;

    SafeTensorsHeader(BinaryFile file, long dataStart) => (this.file, this.dataStart) = (file, dataStart);

    public IReadOnlyCollection<TensorEntry> Entries => entries.Values;

    public ImmutableSortedDictionary<string, string> Metadata { get; private set; } = ImmutableSortedDictionary<string, string>.Empty;

    public static SafeTensorsHeader Read(BinaryFile file)
    {
        if (file.Length < 8)
            throw file.Error($"has {file.Length} bytes, too short for safetensors");
        Span<byte> prefix = stackalloc byte[8];
        file.Read(0, prefix, "the header");
        ulong length = BinaryPrimitives.ReadUInt64LittleEndian(prefix);
        if (length > MaxBytes)
            throw file.Error($"claims a header of {length:N0} bytes, wanted at most {MaxBytes:N0}; is it safetensors?");
        if ((long)length > file.Length - 8)
            throw file.Error($"claims a header of {length:N0} bytes but has {file.Length:N0} in all; is it cut short?");
        byte[] json = new byte[length];
        file.Read(8, json, "the header");
        SafeTensorsHeader header = new(file, 8 + (long)length);
        try
        {
            header.Parse(new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = 4 }));
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException or FormatException)
        {
            throw FormatError.At(file.Path, $"the header is not what safetensors wants: {error.Message}", error);
        }
        header.CheckSpans();
        return header;
    }

    void Parse(Utf8JsonReader reader)
    {
        Expect(ref reader, JsonTokenType.StartObject);
        while (NextName(ref reader) is string name)
        {
            Expect(ref reader, JsonTokenType.StartObject);
            if (name == "__metadata__")
                ParseMetadata(ref reader);
            else
                ParseTensor(ref reader, name);
        }
        if (reader.Read())
            throw new JsonException("something follows the object");
    }

    void ParseMetadata(ref Utf8JsonReader reader)
    {
        ImmutableSortedDictionary<string, string>.Builder metadata = ImmutableSortedDictionary.CreateBuilder<string, string>(StringComparer.Ordinal);
        while (NextName(ref reader) is string key)
        {
            Expect(ref reader, JsonTokenType.String);
            metadata[key] = reader.GetString()!;
        }
        Metadata = metadata.ToImmutable();
    }

    void ParseTensor(ref Utf8JsonReader reader, string name)
    {
        string? dtype = null;
        ImmutableArray<long>? shape = null, offsets = null;
        while (NextName(ref reader) is string key)
            switch (key)
            {
                case "dtype":
                    Expect(ref reader, JsonTokenType.String);
                    dtype = reader.GetString();
                    break;
                case "shape":
                    shape = ParseLongs(ref reader, name);
                    break;
                case "data_offsets":
                    offsets = ParseLongs(ref reader, name);
                    break;
                default:
                    throw file.Error($"tensor '{name}' has the unknown key '{key}'");
            }
        if (dtype is null || shape is null || offsets is not { Length: 2 })
            throw file.Error($"tensor '{name}' lacks its dtype, shape or two data_offsets");
        if (!DTypes.TryParse(dtype, out DType type))
            throw file.Error($"tensor '{name}' has the unknown dtype '{dtype}'");
        (long begin, long end) = (offsets.Value[0], offsets.Value[1]);
        long data = file.Length - dataStart;
        if (begin > end || end > data)
            throw file.Error($"tensor '{name}' lies at [{begin:N0}, {end:N0}] but the file has {data:N0} bytes of data");
        if (ByteCount(type, shape.Value) is not long wanted || wanted != end - begin)
            throw file.Error($"tensor '{name}' has {end - begin:N0} bytes, which is not {type} {TensorEntry.Describe(shape.Value)}");
        if (!entries.TryAdd(name, new TensorEntry(file, name, type, shape.Value, dataStart + begin, end - begin)))
            throw file.Error($"tensor '{name}' is there twice");
        spans.Add((begin, end, name));
    }

    ImmutableArray<long> ParseLongs(ref Utf8JsonReader reader, string name)
    {
        ImmutableArray<long>.Builder numbers = ImmutableArray.CreateBuilder<long>();
        Expect(ref reader, JsonTokenType.StartArray);
        while (reader.Read() && reader.TokenType == JsonTokenType.Number)
        {
            if (!reader.TryGetInt64(out long number) || number < 0)
                throw file.Error($"tensor '{name}' has a size or offset that is no whole number from 0 to 2^63");
            numbers.Add(number);
        }
        return reader.TokenType == JsonTokenType.EndArray ? numbers.DrainToImmutable() : throw new JsonException($"{reader.TokenType} among numbers");
    }

    // Tensors lie one after the other and fill the data, so no byte is hidden and none is read twice.
    void CheckSpans()
    {
        long at = 0;
        foreach ((long begin, long end, string name) in spans.Order())
        {
            if (begin != at)
                throw file.Error($"tensor '{name}' begins at {begin:N0} of the data, wanted {at:N0}: a gap or an overlap");
            at = end;
        }
        if (at != file.Length - dataStart)
            throw file.Error($"the tensors end at {at:N0} but the file has {file.Length - dataStart:N0} bytes of data");
    }

    static long? ByteCount(DType type, ImmutableArray<long> shape)
    {
        try
        {
            return shape.Aggregate((long)type.Size(), (product, size) => checked(product * size));
        }
        catch (OverflowException)
        {
            return null;
        }
    }

    static void Expect(ref Utf8JsonReader reader, JsonTokenType wanted)
    {
        if (!reader.Read() || reader.TokenType != wanted)
            throw new JsonException($"{reader.TokenType}, wanted {wanted}");
    }

    static string? NextName(ref Utf8JsonReader reader)
    {
        if (!reader.Read() || reader.TokenType is not (JsonTokenType.PropertyName or JsonTokenType.EndObject))
            throw new JsonException($"{reader.TokenType}, wanted a name");
        return reader.TokenType == JsonTokenType.PropertyName ? reader.GetString() : null;
    }
}
