namespace Coppice.Explanation;

/// <summary>Where the path of integrated gradients starts.</summary>
public enum PathBaseline
{
    /// <summary>Zeros, as in the paper. RMSNorm turns ever faster the nearer its input is to zero, so that 50 steps miss most of the change; see the residual.</summary>
    Zero,

    /// <summary>The mean row of the embedding's table at every position: an input that says nothing.</summary>
    MeanEmbedding,

    /// <summary>The embeddings of tokens drawn uniformly from the vocabulary.</summary>
    RandomTokens,
}
