using System.Buffers.Binary;
using System.Text;
using Coppice.Tensors;

namespace Coppice.Text.SentencePiece;

/// <summary>A field of a protocol buffer's message.</summary>
/// <param name="Number">Its number.</param>
/// <param name="Value">A varint or a fixed number of 4 or 8 bytes.</param>
/// <param name="Bytes">What has a length: a text, bytes or a message.</param>
readonly record struct ProtoField(int Number, long Value, ReadOnlyMemory<byte> Bytes)
{
    /// <summary>The fields of a message, in order; <paramref name="what"/> is named where they are cut short.</summary>
    public static List<ProtoField> Read(ReadOnlyMemory<byte> message, string what)
    {
        List<ProtoField> fields = [];
        ReadOnlySpan<byte> bytes = message.Span;
        for (int at = 0; at < bytes.Length;)
        {
            long key = Varint(bytes, ref at, what);
            (long value, int length) = (0, 0);
            switch (key & 7)
            {
                case 0:
                    value = Varint(bytes, ref at, what);
                    break;
                case 1:
                    length = 8;
                    break;
                case 2:
                    value = Varint(bytes, ref at, what);
                    if (value < 0 || value > bytes.Length - at)
                        throw new CoppiceException($"{what} is cut short: field {key >> 3} claims {value:N0} bytes of {bytes.Length - at:N0}");
                    length = (int)value;
                    break;
                case 5:
                    length = 4;
                    break;
                default:
                    throw new CoppiceException($"{what} is no protocol buffer: wire type {key & 7} at byte {at}");
            }
            if (length > bytes.Length - at)
                throw new CoppiceException($"{what} is cut short in field {key >> 3}");
            fields.Add(new ProtoField((int)(key >> 3), (key & 7) switch
            {
                1 => BinaryPrimitives.ReadInt64LittleEndian(bytes[at..]),
                5 => BinaryPrimitives.ReadInt32LittleEndian(bytes[at..]),
                _ => value,
            }, message.Slice(at, length)));
            at += length;
        }
        return fields;
    }

    /// <summary>The fields of a message inside.</summary>
    public List<ProtoField> Message(string what) => Read(Bytes, what);

    /// <summary>A text.</summary>
    public string Text() => Encoding.UTF8.GetString(Bytes.Span);

    /// <summary>A float of 4 bytes.</summary>
    public float Single() => BitConverter.Int32BitsToSingle((int)Value);

    static long Varint(ReadOnlySpan<byte> bytes, ref int at, string what)
    {
        ulong value = 0;
        for (int shift = 0; shift < 64; shift += 7)
        {
            if (at >= bytes.Length)
                throw new CoppiceException($"{what} is cut short at byte {at}");
            byte next = bytes[at++];
            value |= (ulong)(next & 0x7F) << shift;
            if (next < 0x80)
                return (long)value;
        }
        throw new CoppiceException($"{what} is no protocol buffer: a number of more than 64 bits at byte {at}");
    }
}
