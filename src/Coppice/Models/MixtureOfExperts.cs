using Coppice.Tensors;

namespace Coppice.Models;

/// <summary>Feed-forward parts of which each token takes a few, and perhaps one that all take (Shazeer et al. 2017; Jiang et al. 2024; Dai et al. 2024). Only chosen experts compute, each for all its tokens at once.</summary>
public sealed class MixtureOfExperts(Linear router, IReadOnlyList<FeedForward> experts, FeedForward? shared, Linear? sharedGate, ExpertOptions options) : ChannelMixer
{
    /// <summary>[experts, width]: a token's score for each.</summary>
    public Linear Router { get; } = router;

    /// <summary>The experts.</summary>
    public IReadOnlyList<FeedForward> Experts { get; } = experts;

    /// <summary>The one that all tokens take, or none.</summary>
    public FeedForward? Shared { get; } = shared;

    /// <summary>[1, width]: how much of the shared expert's result a token takes, before the sigmoid.</summary>
    public Linear? SharedGate { get; } = sharedGate;

    /// <inheritdoc/>
    public override IEnumerable<(string Name, Layer Layer)> Children
    {
        get
        {
            yield return ("gate", Router);
            for (int e = 0; e < Experts.Count; e++)
                yield return ($"experts.{e}", Experts[e]);
            if (Shared is not null && SharedGate is not null)
            {
                yield return ("shared_expert", Shared);
                yield return ("shared_expert_gate", SharedGate);
            }
        }
    }

    /// <inheritdoc/>
    public override IReadOnlyList<Stage> Stages =>
    [
        new([.. Routers, .. Shared?.ReadTogether ?? []]),
        new([.. Experts.Select(expert => expert.ReadTogether)]),
        new([.. All.Select(expert => (IReadOnlyList<Linear>)[expert.Down])]),
    ];

    /// <inheritdoc/>
    public override IReadOnlyList<Linear> Routers => SharedGate is null ? [Router] : [Router, SharedGate];

    IEnumerable<FeedForward> All => Shared is null ? Experts : [.. Experts, Shared];

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x, ForwardContext context)
    {
        Routing routing = Routing.Of(context, Router.Forward(x, context), options.Chosen, options.Shares);
        Tensor y = context.Result(x.Shape, context.Tape is not null);
        y.Data.Clear();
        for (int e = 0; e < Experts.Count; e++)
            if (routing.RowsOf(e) is { IsEmpty: false } rows)
                AddShares.Apply(context, y, Experts[e].Forward(TakeRows.Apply(context, x, rows), context), routing.Shares, routing.SlotsOf(e), rows);
        if (Shared is not null && SharedGate is not null)
        {
            Memory<int> every = context.Arena.RentRows(x.Shape.Rows);
            for (int t = 0; t < every.Length; t++)
                every.Span[t] = t;
            AddShares.Apply(context, y, Shared.Forward(x, context), Sigmoid.Apply(context, SharedGate.Forward(x, context)), every, every);
        }
        return y;
    }
}
