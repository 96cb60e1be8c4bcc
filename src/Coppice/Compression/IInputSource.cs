using Coppice.Models;

namespace Coppice.Compression;

/// <summary>What is known of a model's inputs, block after block: gathered on text in this process, or by those who hold the text.</summary>
public interface IInputSource
{
    /// <summary>Tokens in all texts.</summary>
    long Tokens { get; }

    /// <summary>What is to be gathered where so much is needed: more may cost little, and tells outputs' errors.</summary>
    Statistics Wanted(Statistics needed);

    /// <summary>What enters each of <paramref name="readers"/>, which are of one stage of the block: its earlier stages, and all earlier blocks, are as they will stay.</summary>
    InputStatistics[] Measure(TransformerBlock block, int index, IReadOnlyList<Linear> readers, Statistics kind, CancellationToken cancel);

    /// <summary>What enters the head's product with a matrix; null where there is no such product.</summary>
    InputStatistics? MeasureHead(MatrixLayer layer, Statistics kind, CancellationToken cancel);

    /// <summary>Goes past a block, as it is now.</summary>
    void Advance(TransformerBlock block, int index, CancellationToken cancel);

    /// <summary>Lets go of working memory.</summary>
    void LetGo();
}
