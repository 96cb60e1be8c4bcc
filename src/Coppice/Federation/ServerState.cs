using Coppice.Federation.Codecs;
using Coppice.Federation.Privacy;
using Coppice.Federation.Strategies;
using Coppice.Tensors;

namespace Coppice.Federation;

/// <summary>What a server keeps from round to round besides the model: the strategy's tensors, and the norm that updates are clipped to where it adapts. Part of the journal.</summary>
static class ServerState
{
    const string ClipName = "privacy.clip", MaskPrefix = "mask.";

    /// <summary>What a run begins with; null where it keeps nothing.</summary>
    /// <param name="options">The run.</param>
    /// <param name="shared">The numbers that it averages.</param>
    /// <param name="masks">Masks that change in the course of it, or null.</param>
    public static ParameterSet? New(FederatedOptions options, ParameterSet shared, ParameterSet? masks = null)
    {
        List<(string, Tensor)> state = [.. options.Strategy.NewState(shared)?.Tensors.Select(part => (part.Key, part.Value)) ?? []];
        if (options.Privacy is { Quantile: > 0 } privacy)
            state.Add((ClipName, Tensor.From([1], [(float)privacy.Clip])));
        if (masks is not null)
            state.AddRange(masks.Tensors.Select(part => (MaskPrefix + part.Key, Tensor.From(part.Value.Shape, part.Value.Data))));
        if (options.Codec is SharedProductCodec codec)
            state.Add((SharedProductCodec.TensorName, codec.NewBook(Seeds.Generator(options.Seed, "codebook", 0))));
        return state.Count == 0 ? null : new ParameterSet(state);
    }

    /// <summary>The codebook that clients share; not copied. Null where there is none.</summary>
    public static Tensor? Book(ParameterSet? state) => state?.Tensors.GetValueOrDefault(SharedProductCodec.TensorName);

    /// <summary>The masks, by the names of their tensors; not copied. Null where there are none.</summary>
    public static ParameterSet? Masks(ParameterSet? state) => state?.Where(name => name.StartsWith(MaskPrefix, StringComparison.Ordinal)) is { Tensors.Count: > 0 } masks ? masks.Renamed(name => name[MaskPrefix.Length..]) : null;

    /// <summary>The server's control variates, under the names that tasks have for them.</summary>
    public static ParameterSet Control(ParameterSet state) => state.Where(name => name.StartsWith(Scaffold.Prefix, StringComparison.Ordinal));

    /// <summary>The norm of this round.</summary>
    public static double Clip(ParameterSet? state, PrivacyOptions privacy) => privacy.Quantile > 0 ? state!.Tensors[ClipName].Data[0] : privacy.Clip;

    /// <summary>The norm of the next.</summary>
    public static void SetClip(ParameterSet state, double clip) => state.Tensors[ClipName].Data[0] = (float)clip;
}
