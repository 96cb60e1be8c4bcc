using System.Runtime.InteropServices;
using System.Text;
using Coppice.Tensors;

namespace Coppice.Formats;

/// <summary>
/// The layout of importance matrices before GGUF: int32s and float32s, little-endian.
/// <code>
/// entries; of each: length and bytes of its name, calls, values, values x float32 (means times calls)
/// optional: chunks, length and bytes of the text's name
/// </code>
/// </summary>
static class ImportanceDat
{
    const int MaxNameBytes = 4096;

    /// <summary>Reads a file.</summary>
    /// <exception cref="CoppiceException">It breaks the layout's rules.</exception>
    public static ImportanceMatrix Read(string path)
    {
        using BinaryFile file = new(path);
        long at = 0;
        // A name of a byte and one value take 17.
        int entryCount = Count("the entries", 17);
        Dictionary<string, InputImportance> entries = new(StringComparer.Ordinal);
        for (int i = 0; i < entryCount; i++)
        {
            string name = Name($"the name of entry {i + 1}");
            int calls = Int($"entry '{name}'");
            if (calls < 0)
                throw file.Error($"entry '{name}' counts {calls} calls, wanted at least 0");
            float[] sums = new float[Count($"entry '{name}'", sizeof(float))];
            Fill(MemoryMarshal.AsBytes(sums.AsSpan()), $"entry '{name}'");
            // Where nothing was counted the sums are means.
            if (!entries.TryAdd(name, new InputImportance([.. sums], [Math.Max(calls, 1)])))
                throw file.Error($"entry '{name}' is there twice");
        }
        int chunks = 0;
        string dataset = "";
        if (at < file.Length)
        {
            chunks = Int("the chunks");
            dataset = at < file.Length ? Name("the text's name", least: 0) : "";
        }
        return at == file.Length
            ? ImportanceMatrix.Create(path, dataset.Length == 0 ? [] : [dataset], chunks, 0, entries)
            : throw file.Error($"has {file.Length - at:N0} bytes behind its end");

        void Fill(Span<byte> bytes, string what)
        {
            file.Read(at, bytes, what);
            at += bytes.Length;
        }

        int Int(string what)
        {
            int value = 0;
            Fill(MemoryMarshal.AsBytes(new Span<int>(ref value)), what);
            return value;
        }

        int Count(string what, int leastBytes)
        {
            int count = Int(what);
            return count >= 1 && count <= (file.Length - at) / leastBytes
                ? count
                : throw file.Error($"{what}: claims {count:N0}, wanted 1 to what the {file.Length - at:N0} bytes that are left can hold; is it no importance matrix?");
        }

        string Name(string what, int least = 1)
        {
            int length = Int(what);
            if (length < least || length > MaxNameBytes)
                throw file.Error($"{what} has {length:N0} bytes, wanted {least} to {MaxNameBytes:N0}");
            byte[] bytes = new byte[length];
            Fill(bytes, what);
            return Encoding.UTF8.GetString(bytes);
        }
    }
}
