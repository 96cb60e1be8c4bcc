using System.Runtime.InteropServices;
using System.Text;

namespace Coppice.Formats;

/// <summary>GGUF's metadata types by their number, and how each is written.</summary>
static class GgufValues
{
    public const uint StringType = 8, ArrayType = 9;

    /// <summary>Writes type and value; an array as element type, count and elements.</summary>
    public static void Write(BinaryWriter writer, string key, object value)
    {
        if (value is Array array)
        {
            writer.Write(ArrayType);
            writer.Write(TypeOf(array.GetType().GetElementType()!) ?? throw Unknown(key, value));
            writer.Write((ulong)array.Length);
            foreach (object element in array)
                WriteScalar(writer, element);
            return;
        }
        writer.Write(TypeOf(value.GetType()) ?? throw Unknown(key, value));
        WriteScalar(writer, value);
    }

    public static void WriteString(BinaryWriter writer, string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        writer.Write((ulong)bytes.Length);
        writer.Write(bytes);
    }

    static uint? TypeOf(Type type) =>
        type == typeof(byte) ? 0 : type == typeof(sbyte) ? 1 : type == typeof(ushort) ? 2 : type == typeof(short) ? 3
        : type == typeof(uint) ? 4 : type == typeof(int) ? 5 : type == typeof(float) ? 6 : type == typeof(bool) ? 7
        : type == typeof(string) ? StringType : type == typeof(ulong) ? 10 : type == typeof(long) ? 11 : type == typeof(double) ? 12 : null;

    static void WriteScalar(BinaryWriter writer, object value)
    {
        switch (value)
        {
            case byte number: writer.Write(number); break;
            case sbyte number: writer.Write(number); break;
            case ushort number: writer.Write(number); break;
            case short number: writer.Write(number); break;
            case uint number: writer.Write(number); break;
            case int number: writer.Write(number); break;
            case float number: writer.Write(number); break;
            case bool truth: writer.Write(truth); break;
            case string text: WriteString(writer, text); break;
            case ulong number: writer.Write(number); break;
            case long number: writer.Write(number); break;
            case double number: writer.Write(number); break;
        }
    }

    static ArgumentException Unknown(string key, object value) => new($"GGUF: key '{key}' is a {value.GetType()}, wanted a number, a truth value, a string or an array of these");
}
