using System.Diagnostics;
using System.Globalization;

namespace Coppice.Cli;

/// <summary>How far long work is: its share done, 0 to 1, and a few words such as a rate.</summary>
readonly record struct Tick(double Share, string Note = "");

/// <summary>Hands each report on at once, on the caller's thread, unlike <see cref="Progress{T}"/>.</summary>
sealed class Told<T>(Action<T> tell) : IProgress<T>
{
    public void Report(T value) => tell(value);
}

/// <summary>Time left at the rate since the first report, which may be of resumed work.</summary>
sealed class TimeLeft
{
    long start;
    double? first;

    public string After(double share)
    {
        if (first is null)
            (start, first) = (Stopwatch.GetTimestamp(), share);
        double done = share - first.Value;
        if (done <= 0 || share >= 1)
            return "";
        TimeSpan left = Stopwatch.GetElapsedTime(start) * ((1 - share) / done);
        return left.ToString(@"h\:mm\:ss", CultureInfo.InvariantCulture) + " left";
    }
}

/// <summary>Progress where there is no terminal: the first report, the last, and every few seconds one between.</summary>
sealed class ProgressLines(string title, TimeLeft left) : IProgress<Tick>
{
    static readonly TimeSpan Pause = TimeSpan.FromSeconds(5);

    long last;
    bool done;

    public void Report(Tick tick)
    {
        string time = left.After(tick.Share);
        bool ends = tick.Share >= 1 && !done;
        if (last != 0 && !ends && (tick.Share >= 1 || Stopwatch.GetElapsedTime(last) < Pause))
            return;
        (last, done) = (Stopwatch.GetTimestamp(), ends);
        IEnumerable<string> words = [title, tick.Share.ToString("P0", CultureInfo.InvariantCulture), tick.Note, time];
        Console.Error.WriteLine(string.Join("  ", words.Where(word => word.Length > 0)));
    }
}
