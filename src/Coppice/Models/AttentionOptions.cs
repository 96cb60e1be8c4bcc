using Coppice.Tensors;
using Coppice.Tensors.Simd;

namespace Coppice.Models;

/// <summary>What attention does besides its products.</summary>
public sealed record AttentionOptions
{
    /// <summary>Query heads.</summary>
    public required int Heads { get; init; }

    /// <summary>Key-value heads; divides <see cref="Heads"/>.</summary>
    public required int KeyValueHeads { get; init; }

    /// <summary>Numbers a head.</summary>
    public required int HeadWidth { get; init; }

    /// <summary>Turns queries and keys by their positions; none where positions are added to the hidden states.</summary>
    public RotaryTable? Rotary { get; init; }

    /// <summary>Of queries, before they are turned: a gain of one head's width, or of all heads'.</summary>
    public RmsNorm? QueryNorm { get; init; }

    /// <summary>Of keys, before they are turned.</summary>
    public RmsNorm? KeyNorm { get; init; }

    /// <summary>What products of queries and keys are multiplied by; 1 / sqrt(head width) where null.</summary>
    public float? Scale { get; init; }

    /// <summary>Whether a query sees the tokens behind it too.</summary>
    public Sight Sight { get; init; }

    /// <summary>How many keys a query sees, its own and those before it; all where null.</summary>
    public int? Window { get; init; }

    /// <summary>c where scores s become c tanh(s / c).</summary>
    public float? Softcap { get; init; }

    internal AttentionShape Shape => new(Heads, KeyValueHeads, HeadWidth) { Scale = Scale ?? 1 / MathF.Sqrt(HeadWidth), Sight = Sight, Window = Window ?? 0, Softcap = Softcap ?? 0 };
}
