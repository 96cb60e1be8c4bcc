using Coppice.Tensors;

namespace Coppice.Export;

/// <summary>Matrices that a format has no exact form for: a failure, or a reason in the report.</summary>
sealed class Refusal(Requantizing requantizing)
{
    readonly Dictionary<string, string> reasons = new(StringComparer.Ordinal);

    /// <summary>Why a tensor could not stay as it was, or null.</summary>
    public string? Of(string tensor) => reasons.GetValueOrDefault(tensor);

    /// <summary>Notes that plain numbers, which may be rounded, could not have the type asked for.</summary>
    public void NotePlain(string tensor, string reason) => reasons[tensor] = reason;

    /// <summary>Notes that a matrix is rounded again.</summary>
    /// <exception cref="CoppiceException">That was not allowed.</exception>
    public void Note(string tensor, string reason) => reasons[tensor] = requantizing == Requantizing.Allowed
        ? reason
        : throw new CoppiceException($"'{tensor}' would have to be rounded again: {reason}; --type f32 spreads it out exactly, --allow-requantize rounds it");
}
