using Coppice.Formats;
using Coppice.Models.Families;
using Coppice.Tensors;

namespace Coppice.Models;

/// <summary>A decoder from a container's tensors.</summary>
static class DecoderCheckpoint
{
    /// <summary>Builds a model from a Hugging Face folder's tensors.</summary>
    /// <exception cref="CoppiceException">A tensor is missing, has another shape, or is there without a use.</exception>
    public static DecoderModel Build(DecoderConfig config, ICheckpoint checkpoint, WeightReading reading = WeightReading.Whole)
    {
        Family family = Family.Of(config);
        string table = family.InFolder("model.embed_tokens.weight", config).Name;
        FolderNames names = new(checkpoint, table, table[..(table.IndexOf('.', StringComparison.Ordinal) + 1)]);
        return Build(config, checkpoint, name => names.Of(family.InFolder(name, config)), name => names.MayStay(name, family.IsDerived), reading);
    }

    /// <summary>Builds a model: <paramref name="place"/> says where a tensor of ours is stored, <paramref name="isDerived"/> which stored ones may be there without a use.</summary>
    /// <exception cref="CoppiceException">A tensor is missing, has another shape, or is there without a use.</exception>
    public static DecoderModel Build(DecoderConfig config, ICheckpoint checkpoint, Func<string, TensorPlace> place, Func<string, bool> isDerived, WeightReading reading = WeightReading.Whole)
    {
        // Some writers store a tied head a second time.
        string? head = config.Head == HeadKind.Tied ? place("lm_head.weight").Name : null;
        return ModelCheckpoint.Build(config.Family, checkpoint, (matrix, vector) => new DecoderModel(config, matrix, vector), place, name => name == head || isDerived(name), reading);
    }
}
