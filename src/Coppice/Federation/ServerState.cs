using Coppice.Federation.Privacy;
using Coppice.Federation.Strategies;
using Coppice.Tensors;

namespace Coppice.Federation;

/// <summary>What a server keeps from round to round besides the model: the strategy's tensors, and the norm that updates are clipped to where it adapts. Part of the journal.</summary>
static class ServerState
{
    const string ClipName = "privacy.clip";

    /// <summary>What a run begins with; null where it keeps nothing.</summary>
    public static ParameterSet? New(FederatedOptions options, ParameterSet shared)
    {
        ParameterSet? strategy = options.Strategy.NewState(shared);
        return options.Privacy is not { Quantile: > 0 } privacy
            ? strategy
            : new ParameterSet([.. strategy?.Tensors.Select(part => (part.Key, part.Value)) ?? [], (ClipName, Tensor.From([1], [(float)privacy.Clip]))]);
    }

    /// <summary>The server's control variates, under the names that tasks have for them.</summary>
    public static ParameterSet Control(ParameterSet state) => state.Where(name => name.StartsWith(Scaffold.Prefix, StringComparison.Ordinal));

    /// <summary>The norm of this round.</summary>
    public static double Clip(ParameterSet? state, PrivacyOptions privacy) => privacy.Quantile > 0 ? state!.Tensors[ClipName].Data[0] : privacy.Clip;

    /// <summary>The norm of the next.</summary>
    public static void SetClip(ParameterSet state, double clip) => state.Tensors[ClipName].Data[0] = (float)clip;
}
