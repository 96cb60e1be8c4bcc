namespace Coppice.Tensors;

/// <summary>A run of rows that belong together: one text among several in a tensor [tokens, width].</summary>
public readonly record struct Sequence(int Start, int Length);
