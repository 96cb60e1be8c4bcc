using Coppice.Tensors;

namespace Coppice.Federation.Codecs;

/// <summary>What else is done with updates in a run.</summary>
public enum CodecUse
{
    /// <summary>Clients start from a model that was rounded on its way down.</summary>
    RoundedDownload,

    /// <summary>The server sees the sum of encoded updates only.</summary>
    SecureAggregation,

    /// <summary>Updates are clipped to a norm, and noise is added for differential privacy.</summary>
    Clipping,

    /// <summary>Decoded numbers are averaged and change the weights.</summary>
    Averaging,

    /// <summary>Decoded numbers are counted as votes on what to keep.</summary>
    Voting,
}

/// <summary>Which codecs go with what: a mix that breaks what either promises is refused, with the reason.</summary>
public static class CodecRules
{
    /// <summary>Why a codec may not be used so; null where it may.</summary>
    public static string? Fault(ICodec codec, CodecUse use) => use switch
    {
        CodecUse.RoundedDownload when codec.Kind == UpdateKind.Weights =>
            $"codec '{codec.Name}' sends weights, which would carry the rounding of the download into the model; wanted a codec of deltas or download Float32",
        CodecUse.SecureAggregation when !codec.Traits.HasFlag(CodecTraits.Linear) =>
            $"codec '{codec.Name}' is not linear, and with secure aggregation the server sees nothing but the sum of the codes, which is no code of the sum; wanted a linear codec",
        CodecUse.SecureAggregation when codec.Kind == UpdateKind.Mask =>
            $"codec '{codec.Name}' sends votes, and secure aggregation adds up deltas that are held to a norm; wanted a linear codec of weights or deltas",
        CodecUse.Clipping when codec.Traits.HasFlag(CodecTraits.Stateful) =>
            $"codec '{codec.Name}' adds to an update what earlier ones lost, so that it passes the norm that it was clipped to, or is cut off again and never made up for; wanted a codec without error feedback",
        CodecUse.Clipping or CodecUse.Averaging when codec.Kind == UpdateKind.Mask =>
            $"codec '{codec.Name}' sends votes on what to keep, which are no change of the weights; wanted strategy maskvote, or a codec of weights or deltas",
        CodecUse.Voting when codec.Kind != UpdateKind.Mask => $"codec '{codec.Name}' sends {(codec.Kind == UpdateKind.Weights ? "weights" : "deltas")}, and strategy maskvote counts votes; wanted codec mask",
        _ => null,
    };

    /// <summary>Throws where a codec may not be used so.</summary>
    /// <exception cref="CoppiceException">Names the mix and the reason.</exception>
    public static void Check(ICodec codec, CodecUse use)
    {
        if (Fault(codec, use) is { } reason)
            throw new CoppiceException($"Federation: {reason}");
    }
}
