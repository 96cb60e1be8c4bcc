using System.Buffers.Binary;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using Coppice.Federation.Distill;
using Coppice.Federation.Privacy;
using Coppice.Federation.Recipes;
using Coppice.Federation.Secure;
using Coppice.Formats;
using Coppice.Tensors;

namespace Coppice.Federation;

/// <summary>The frame of every message: u64 (little-endian) length of the JSON, the JSON as UTF-8, then safetensors to the end.</summary>
static class Message
{
    /// <summary>Longer control parts are refused unread.</summary>
    public const int MaxControlBytes = 1 << 20;

    const int Prefix = sizeof(ulong);

    public static byte[] Write<T>(T control, JsonTypeInfo<T> type, ReadOnlySpan<byte> tensors) => Join(Head(control, type), [], tensors);

    /// <summary>A message whose payload is another one.</summary>
    public static byte[] Write<TOuter, TInner>(TOuter outer, JsonTypeInfo<TOuter> outerType, TInner inner, JsonTypeInfo<TInner> innerType, ReadOnlySpan<byte> tensors) =>
        Join(Head(outer, outerType), Head(inner, innerType), tensors);

    static byte[] Head<T>(T control, JsonTypeInfo<T> type)
    {
        byte[] json = JsonSerializer.SerializeToUtf8Bytes(control, type);
        if (json.Length > MaxControlBytes)
            throw new CoppiceException($"message: a control part of {json.Length:N0} bytes, wanted at most {MaxControlBytes:N0}");
        byte[] head = new byte[Prefix + json.Length];
        BinaryPrimitives.WriteUInt64LittleEndian(head, (ulong)json.Length);
        json.CopyTo(head, Prefix);
        return head;
    }

    static byte[] Join(byte[] head, byte[] inner, ReadOnlySpan<byte> tensors)
    {
        byte[] message = new byte[checked(head.Length + inner.Length + tensors.Length)];
        head.CopyTo(message, 0);
        inner.CopyTo(message, head.Length);
        tensors.CopyTo(message.AsSpan(head.Length + inner.Length));
        return message;
    }

    /// <summary>Takes a message apart; <paramref name="name"/> says in errors whose it is.</summary>
    /// <exception cref="CoppiceException">The frame or the JSON is not what is wanted.</exception>
    public static T Read<T>(string name, ReadOnlyMemory<byte> message, JsonTypeInfo<T> type, out ReadOnlyMemory<byte> tensors) =>
        Parse(name, Split(name, message, out tensors), type);

    /// <summary>Takes a message in a file apart, of which the control part alone is read.</summary>
    /// <exception cref="CoppiceException">The frame or the JSON is not what is wanted.</exception>
    public static T Open<T>(BinaryFile message, JsonTypeInfo<T> type, out BinaryFile tensors)
    {
        byte[] prefix = new byte[Math.Min(Prefix, message.Length)];
        message.Read(0, prefix, "the frame");
        byte[] json = new byte[LengthOf(message.Path, prefix, message.Length)];
        message.Read(Prefix, json, "the control part");
        tensors = message.Rest(Prefix + json.Length);
        return Parse(message.Path, json, type);
    }

    static ReadOnlySpan<byte> Split(string name, ReadOnlyMemory<byte> message, out ReadOnlyMemory<byte> tensors)
    {
        int length = LengthOf(name, message.Span, message.Length);
        tensors = message[(Prefix + length)..];
        return message.Span.Slice(Prefix, length);
    }

    static int LengthOf(string name, ReadOnlySpan<byte> prefix, long all)
    {
        if (all < Prefix)
            throw FormatError.At(name, $"has {all} bytes, too short for a message");
        ulong length = BinaryPrimitives.ReadUInt64LittleEndian(prefix);
        return length <= MaxControlBytes && length <= (ulong)(all - Prefix)
            ? (int)length
            : throw FormatError.At(name, $"claims {length:N0} bytes of JSON; the message has {all:N0} in all and at most {MaxControlBytes:N0} are taken");
    }

    /// <summary>The field <c>format</c> of a message's control part.</summary>
    public static string FormatOf(string name, ReadOnlyMemory<byte> message) => Read(name, message, FederationJson.Default.JsonElement, out _) is { ValueKind: JsonValueKind.Object } control
        && control.TryGetProperty("format", out JsonElement format) && format.ValueKind == JsonValueKind.String
        ? format.GetString()!
        : throw FormatError.At(name, "has no format");

    /// <summary>JSON that is not trusted, into a record.</summary>
    public static T Parse<T>(string name, ReadOnlySpan<byte> json, JsonTypeInfo<T> type)
    {
        try
        {
            return JsonSerializer.Deserialize(json, type) ?? throw FormatError.At(name, "the control part is null");
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException or ArgumentException)
        {
            throw FormatError.At(name, $"the control part is not what is wanted: {error.Message}", error);
        }
    }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true, UseStringEnumConverter = true, IgnoreReadOnlyProperties = true, AllowDuplicateProperties = false)]
[JsonSerializable(typeof(RoundTask))]
[JsonSerializable(typeof(ClientUpdate))]
[JsonSerializable(typeof(RoundRecord[]))]
[JsonSerializable(typeof(LocalTraining))]
[JsonSerializable(typeof(LedgerPage))]
[JsonSerializable(typeof(InputsTask))]
[JsonSerializable(typeof(InputsAnswer))]
[JsonSerializable(typeof(ComparisonTask))]
[JsonSerializable(typeof(ComparisonAnswer))]
[JsonSerializable(typeof(DistillTask))]
[JsonSerializable(typeof(DistillAnswer))]
[JsonSerializable(typeof(JsonElement))]
[JsonSerializable(typeof(SecureSetup))]
[JsonSerializable(typeof(KeyAdvert))]
[JsonSerializable(typeof(RosterMessage))]
[JsonSerializable(typeof(SealedShares))]
[JsonSerializable(typeof(Deliveries))]
[JsonSerializable(typeof(MaskedInput))]
[JsonSerializable(typeof(SurvivorList))]
[JsonSerializable(typeof(SurvivorSignature))]
[JsonSerializable(typeof(SignatureList))]
[JsonSerializable(typeof(UnmaskShares))]
[JsonSerializable(typeof(SecurePage))]
[JsonSerializable(typeof(SpentRound))]
sealed partial class FederationJson : JsonSerializerContext;
