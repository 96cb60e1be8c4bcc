namespace Coppice.Formats;

/// <summary>The head of a model that multiplies by its table of tokens. A file has no tensor of it, and Transformers has a linear layer all the same: one that it takes for packed, as every linear layer, unless it is named among those that are not.</summary>
static class TiedHead
{
    const string Module = "lm_head";

    /// <summary>What Transformers calls the layer; null where the model has a head of its own.</summary>
    public static string? Of(IReadOnlyCollection<CheckpointEntry> entries) => entries.Any(entry => entry.Name == Module + QuantizedCheckpoint.WeightSuffix) ? null : Module;
}
