namespace Coppice.Tests.Formats;

/// <summary>Damages the bytes of a good file: single bits and bytes, lengths and offsets, pieces that are lost, doubled or exchanged.</summary>
static class Damage
{
    static readonly byte[] Nasty = [0, 1, 2, 9, 0x22, 0x2C, 0x30, 0x39, 0x5B, 0x5C, 0x7B, 0x7F, 0x80, 0xFF];

    static readonly ulong[] Extremes = [0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 0x8000000000000000, 0xFFFFFFFFFFFFFFFF, 1UL << 40];

    /// <summary>A copy with one to three changes.</summary>
    public static byte[] Of(byte[] good, Random random)
    {
        List<byte> bytes = [.. good];
        for (int times = random.Next(1, 4); times > 0 && bytes.Count > 0; times--)
        {
            int at = Place(bytes.Count, random);
            switch (random.Next(10))
            {
                case 0: bytes[at] = (byte)random.Next(256); break;
                case 1: bytes[at] = Nasty[random.Next(Nasty.Length)]; break;
                case 2: bytes.RemoveAt(at); break;
                case 3: bytes.Insert(at, Nasty[random.Next(Nasty.Length)]); break;
                case 4: bytes[at] ^= (byte)(1 << random.Next(8)); break;
                case 5: SetField(bytes, at, Extremes[random.Next(Extremes.Length)], 1 << random.Next(1, 4)); break;
                case 6: bytes.RemoveRange(at, bytes.Count - at); break;
                case 7: Swap(bytes, at, Place(bytes.Count, random), random.Next(1, 64)); break;
                case 8: bytes.InsertRange(Place(bytes.Count, random), bytes.GetRange(at, Math.Min(bytes.Count - at, random.Next(1, 64)))); break;
                default: bytes.RemoveRange(at, Math.Min(bytes.Count - at, random.Next(1, 64))); break;
            }
        }
        return [.. bytes];
    }

    // The head of a file is where the structure is, of a zip the tail as well.
    static int Place(int length, Random random) => random.Next(8) switch
    {
        0 or 1 => random.Next(length),
        2 => length - 1 - random.Next(Math.Min(600, length)),
        _ => random.Next(Math.Min(600, length)),
    };

    // A length or an offset of 2, 4 or 8 bytes.
    static void SetField(List<byte> bytes, int at, ulong value, int size)
    {
        for (int i = 0; i < size && at + i < bytes.Count; i++)
            bytes[at + i] = (byte)(value >> 8 * i);
    }

    static void Swap(List<byte> bytes, int a, int b, int length)
    {
        for (int i = 0; i < length && a + i < bytes.Count && b + i < bytes.Count; i++)
            (bytes[a + i], bytes[b + i]) = (bytes[b + i], bytes[a + i]);
    }
}
