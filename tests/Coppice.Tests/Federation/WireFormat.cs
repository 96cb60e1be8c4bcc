using System.Buffers.Binary;
using System.Text;
using System.Text.Json.Nodes;

namespace Coppice.Tests.Federation;

/// <summary>The frame as docs/federation.md describes it, without the library's own code for it.</summary>
static class WireFormat
{
    public static JsonObject Control(ReadOnlyMemory<byte> message, out ReadOnlyMemory<byte> tensors)
    {
        int length = (int)BinaryPrimitives.ReadUInt64LittleEndian(message.Span);
        tensors = message[(8 + length)..];
        return JsonNode.Parse(message.Span.Slice(8, length))!.AsObject();
    }

    public static byte[] Message(string json, ReadOnlySpan<byte> tensors)
    {
        byte[] control = Encoding.UTF8.GetBytes(json), length = new byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(length, (ulong)control.Length);
        return [.. length, .. control, .. tensors];
    }
}
