using System.Collections.Immutable;

namespace Coppice.Export;

/// <summary>What became of one tensor, told from the file that was written.</summary>
/// <param name="Name">Its name in the source.</param>
/// <param name="From">How it was stored.</param>
/// <param name="To">How it is stored now.</param>
/// <param name="Count">Its numbers.</param>
/// <param name="Bytes">What they take now.</param>
/// <param name="Changed">How many numbers are no longer the same.</param>
/// <param name="MaxError">The largest |before - after|.</param>
/// <param name="Reason">Why it could not stay as it was; null where it could, or a type was asked for.</param>
public sealed record ConvertedTensor(string Name, string From, string To, long Count, long Bytes, long Changed, double MaxError, string? Reason);

/// <summary>What a conversion did.</summary>
/// <param name="Tensors">Every tensor.</param>
/// <param name="Files">Files that came along as they are.</param>
/// <param name="LeftOut">Files and settings of the source that the format has no place for.</param>
/// <param name="Resumed">Tensors that an interrupted run had finished.</param>
/// <param name="Bytes">On disk.</param>
public sealed record ConversionReport(ImmutableArray<ConvertedTensor> Tensors, ImmutableArray<string> Files, ImmutableArray<string> LeftOut, int Resumed, long Bytes)
{
    /// <summary>Whether every number is what it was.</summary>
    public bool IsLossless => Tensors.All(tensor => tensor.Changed == 0);

    /// <summary>The largest error of all.</summary>
    public double MaxError => Tensors.Max(tensor => tensor.MaxError);

    /// <summary>Stored bits a number, scales and zero points included.</summary>
    public double BitsPerWeight => 8.0 * Tensors.Sum(tensor => tensor.Bytes) / Tensors.Sum(tensor => tensor.Count);
}
