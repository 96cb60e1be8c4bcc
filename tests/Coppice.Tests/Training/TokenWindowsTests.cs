using Coppice.Models;
using Coppice.Tensors;
using Coppice.Training;

namespace Coppice.Tests.Training;

public class TokenWindowsTests
{
    static readonly int[] Tokens = [.. Enumerable.Range(0, 1000)];

    static int[] Starts(TokenWindows windows, long first, int count)
    {
        Batch batch = new();
        int[] targets = new int[count * 8];
        windows.Fill(first, count, batch, targets);
        for (int i = 0; i < targets.Length; i++)
            Assert.Equal(batch.Tokens[i] + 1, targets[i]);
        return [.. batch.Sequences.ToArray().Select(sequence => Tokens[0] + sequence.Start).Select(start => targets[start] - 1)];
    }

    [Fact]
    public void An_epoch_visits_every_window_once()
    {
        TokenWindows windows = new(Tokens, 8, seed: 3);
        int[] starts = Starts(windows, 0, windows.Count);
        Assert.Equal(windows.Count, starts.Distinct().Count());
        Assert.All(starts, start => Assert.Equal(starts[0] % 8, start % 8));
    }

    [Fact]
    public void Epochs_differ_in_order_and_offset_and_seeds_differ()
    {
        TokenWindows windows = new(Tokens, 8, seed: 3);
        Assert.NotEqual(Starts(windows, 0, 20), Starts(windows, windows.Count, 20));
        Assert.NotEqual(Starts(windows, 0, 20), Starts(new TokenWindows(Tokens, 8, seed: 4), 0, 20));
    }

    [Fact]
    public void A_place_has_one_window_whatever_was_read_before()
    {
        TokenWindows windows = new(Tokens, 8, seed: 3);
        int[] later = Starts(windows, 300, 10);
        Starts(windows, 0, 50);
        Assert.Equal(later, Starts(windows, 300, 10));
        Assert.Equal(later, Starts(new TokenWindows(Tokens, 8, seed: 3), 300, 10));
    }

    [Fact]
    public void A_text_shorter_than_two_windows_is_refused() =>
        Assert.Contains("16 tokens, wanted at least 17", Assert.Throws<CoppiceException>(() => new TokenWindows(Tokens[..16], 8, 1)).Message);
}
