using System.Text;
using Coppice.Text.Patterns;

namespace Coppice.Text.PreTokenizers;

/// <summary>A text as pre-tokenizers cut it: ranges of one buffer. Used again and again, by one thread.</summary>
sealed class Pieces
{
    readonly record struct Part(int Start, int End, bool IsMatch);

    readonly List<Range> matches = [];
    readonly List<Part> parts = [];
    List<Range> ranges = [], spare = [];
    char[] text = new char[256];
    int length;

    /// <summary>Starts anew with one piece.</summary>
    /// <param name="segment">The text.</param>
    /// <param name="isFirst">Whether it is the beginning of what is encoded, and not what follows a token.</param>
    public void Reset(ReadOnlySpan<char> segment, bool isFirst)
    {
        (length, IsFirst, AreBytes) = (0, isFirst, false);
        ranges.Clear();
        Append(segment);
        if (segment.Length > 0)
            ranges.Add(..segment.Length);
    }

    /// <summary>Whether the first piece begins what is encoded.</summary>
    public bool IsFirst { get; private set; }

    /// <summary>Whether the pieces stand for the spelling of their bytes in GPT-2's alphabet; they are spelled when somebody looks at the characters.</summary>
    public bool AreBytes { get; private set; }

    public int Count => ranges.Count;

    /// <summary>A piece, never empty.</summary>
    public ReadOnlySpan<char> this[int index] => text.AsSpan(ranges[index]);

    /// <summary>Cuts every piece at the matches of a pattern; inverted, at what lies between them.</summary>
    public void Split(Pattern pattern, SplitBehavior behavior, bool inverted = false)
    {
        SpellBytes();
        spare.Clear();
        foreach (Range range in ranges)
        {
            (int start, int end) = (range.Start.Value, range.End.Value);
            matches.Clear();
            pattern.Find(text.AsSpan(start, end - start), matches);
            parts.Clear();
            int at = start;
            foreach (Range match in matches)
            {
                if (start + match.Start.Value > at)
                    parts.Add(new Part(at, start + match.Start.Value, inverted));
                at = start + match.End.Value;
                parts.Add(new Part(start + match.Start.Value, at, !inverted));
            }
            if (at < end)
                parts.Add(new Part(at, end, inverted));
            Join(behavior);
        }
        (ranges, spare) = (spare, ranges);
    }

    /// <summary>Rewrites every piece; <paramref name="rewrite"/> gets it, and whether it is the first, and appends what becomes of it.</summary>
    public void Rewrite(Func<string, bool, string> rewrite)
    {
        SpellBytes();
        string[] rewritten = new string[ranges.Count];
        for (int i = 0; i < rewritten.Length; i++)
            rewritten[i] = rewrite(this[i].ToString(), i == 0 && IsFirst);
        length = 0;
        ranges.Clear();
        foreach (string piece in rewritten)
        {
            if (piece.Length > 0)
                ranges.Add(length..(length + piece.Length));
            Append(piece);
        }
    }

    /// <summary>From here on the pieces stand for the spelling of their bytes.</summary>
    public void BecomeBytes()
    {
        SpellBytes();
        AreBytes = true;
    }

    /// <summary>Writes the spelling out, where one is due.</summary>
    public void SpellBytes()
    {
        if (!AreBytes)
            return;
        AreBytes = false;
        Rewrite((piece, _) => ByteAlphabet.Spell(Encoding.UTF8.GetBytes(piece)));
    }

    void Append(ReadOnlySpan<char> added)
    {
        if (text.Length - length < added.Length)
            Array.Resize(ref text, Math.Max(2 * text.Length, length + added.Length));
        added.CopyTo(text.AsSpan(length));
        length += added.Length;
    }

    void Join(SplitBehavior behavior)
    {
        int first = spare.Count;
        bool previous = false;
        if (behavior == SplitBehavior.MergedWithNext)
        {
            // from the end, and turned round again
            for (int i = parts.Count - 1; i >= 0; i--)
            {
                Part part = parts[i];
                if (part.IsMatch && !previous && spare.Count > first)
                    spare[^1] = part.Start..spare[^1].End;
                else
                    spare.Add(part.Start..part.End);
                previous = part.IsMatch;
            }
            spare.Reverse(first, spare.Count - first);
        }
        else
        {
            foreach (Part part in parts)
            {
                bool joins = spare.Count > first && behavior switch
                {
                    SplitBehavior.Contiguous => part.IsMatch == previous,
                    SplitBehavior.MergedWithPrevious => part.IsMatch && !previous,
                    _ => false,
                };
                if (joins)
                    spare[^1] = spare[^1].Start..part.End;
                else if (behavior != SplitBehavior.Removed || !part.IsMatch)
                    spare.Add(part.Start..part.End);
                previous = part.IsMatch;
            }
        }
        // a pattern may match nothing between two characters
        for (int i = spare.Count - 1; i >= first; i--)
            if (spare[i].Start.Equals(spare[i].End))
                spare.RemoveAt(i);
    }
}
