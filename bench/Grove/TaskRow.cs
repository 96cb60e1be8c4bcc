using System.Text.Json;
using Coppice.Evaluation;

namespace Coppice.Bench;

/// <summary>A number and its standard error over text.</summary>
public readonly record struct Figure(double Value, double Error)
{
    /// <summary>A score's.</summary>
    public static Figure[] Of(IReadOnlyList<Score> scores) => [.. scores.Select(score => new Figure(score.Value, score.StandardError))];
}

/// <summary>What one seed gives at one place of a task.</summary>
/// <param name="Clients">0 in one place.</param>
/// <param name="TokenDivergence">Of two clients, bits.</param>
/// <param name="LabelDivergence">The same of labels, or null.</param>
/// <param name="Megabytes">Up by a client, by way of training.</param>
/// <param name="Levels">By metric.</param>
/// <param name="Cost">What they are above the centralized model's; null of that itself.</param>
/// <param name="Added">What each compression adds, by metric.</param>
/// <param name="Bits">Stored bits of a weight in the blocks' matrices, by compression.</param>
/// <param name="Zeros">The share of them that is 0.</param>
public sealed record TaskRow(int Clients, double TokenDivergence, double? LabelDivergence, double[] Megabytes, Figure[] Levels, Figure[]? Cost, Figure[][] Added, double[] Bits, double[] Zeros)
{
    /// <summary>Rows that an earlier run kept in a file, or those that are measured now, which it keeps.</summary>
    /// <param name="file">Null keeps nothing.</param>
    /// <param name="measure">Measures them.</param>
    public static TaskRow[] Kept(string? file, Func<IEnumerable<TaskRow>> measure)
    {
        if (File.Exists(file))
            return JsonSerializer.Deserialize<TaskRow[]>(File.ReadAllText(file))!;
        TaskRow[] rows = [.. measure()];
        if (file is not null)
            File.WriteAllText(file, JsonSerializer.Serialize(rows));
        return rows;
    }
}
