namespace Coppice.Text.Patterns;

/// <summary>Ranges of code points.</summary>
sealed class CharacterSet
{
    readonly List<(int First, int Last)> ranges = [];

    /// <summary>Script=Han.</summary>
    public static CharacterSet Han { get; } = new()
    {
        ranges =
        {
            (0x2E80, 0x2E99), (0x2E9B, 0x2EF3), (0x2F00, 0x2FD5), (0x3005, 0x3005), (0x3007, 0x3007), (0x3021, 0x3029), (0x3038, 0x303B), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFA6D),
            (0xFA70, 0xFAD9), (0x16FE2, 0x16FE3), (0x16FF0, 0x16FF1), (0x20000, 0x2A6DF), (0x2A700, 0x2EE5D), (0x2F800, 0x2FA1D), (0x30000, 0x323AF),
        },
    };

    public void Add(int first, int last) => ranges.Add((first, last));

    public bool Contains(int point)
    {
        foreach ((int first, int last) in ranges)
            if (point >= first && point <= last)
                return true;
        return false;
    }

    /// <summary>The ranges within the Basic Multilingual Plane, as they stand between a regex's brackets.</summary>
    public string InBrackets() => string.Concat(ranges.Where(range => range.Last <= 0xFFFF).Select(range => $"\\u{range.First:X4}-\\u{range.Last:X4}"));
}
