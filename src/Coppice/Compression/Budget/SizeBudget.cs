using System.Globalization;
using Coppice.Tensors;

namespace Coppice.Compression.Budget;

/// <summary>What a compressed model may cost.</summary>
/// <param name="Amount">Bits a weight, bytes on disk, or milliseconds a token.</param>
/// <param name="Unit">Which of these.</param>
public sealed record SizeBudget(double Amount, BudgetUnit Unit)
{
    static readonly (string Suffix, BudgetUnit Unit, double Factor)[] units =
    [
        ("ms/token", BudgetUnit.MillisecondsPerToken, 1), ("bpw", BudgetUnit.BitsPerWeight, 1), ("GB", BudgetUnit.Bytes, 1e9), ("MB", BudgetUnit.Bytes, 1e6), ("KB", BudgetUnit.Bytes, 1e3), ("B", BudgetUnit.Bytes, 1),
    ];

    /// <summary>Reads <c>3.5bpw</c>, <c>60MB</c> or <c>30ms/token</c>.</summary>
    /// <exception cref="CoppiceException">It is none of them.</exception>
    public static SizeBudget Parse(string text)
    {
        foreach ((string suffix, BudgetUnit unit, double factor) in units)
            if (text.EndsWith(suffix, StringComparison.OrdinalIgnoreCase) && double.TryParse(text.AsSpan()[..^suffix.Length].Trim(), NumberStyles.Float, CultureInfo.InvariantCulture, out double amount) && amount > 0 && double.IsFinite(amount))
                return new SizeBudget(amount * factor, unit);
        throw new CoppiceException($"budget '{text}', wanted such as 3.5bpw, 60MB or 30ms/token");
    }
}

/// <summary>What a <see cref="SizeBudget"/> counts.</summary>
public enum BudgetUnit
{
    /// <summary>Stored bits over all of the model's parameters.</summary>
    BitsPerWeight,

    /// <summary>Bytes of all that is written.</summary>
    Bytes,

    /// <summary>Time for one generated token on this machine.</summary>
    MillisecondsPerToken,
}
