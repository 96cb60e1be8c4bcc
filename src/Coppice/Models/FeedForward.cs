using Coppice.Tensors;

namespace Coppice.Models;

/// <summary>down(f(gate(x)) * up(x)) (Shazeer 2020), or without a gate down(f(up(x))).</summary>
public sealed class FeedForward(Linear? gate, Linear up, Linear down, Activation activation) : ChannelMixer
{
    /// <summary>[hidden, width], or none.</summary>
    public Linear? Gate { get; } = gate;

    /// <summary>[hidden, width].</summary>
    public Linear Up { get; } = up;

    /// <summary>[width, hidden].</summary>
    public Linear Down { get; } = down;

    /// <inheritdoc/>
    public override IEnumerable<(string Name, Layer Layer)> Children =>
        Gate is null ? [("up_proj", Up), ("down_proj", Down)] : [("gate_proj", Gate), ("up_proj", Up), ("down_proj", Down)];

    /// <inheritdoc/>
    public override IReadOnlyList<Stage> Stages => [new(ReadTogether), new([Down])];

    /// <summary>The matrices that read the part's input.</summary>
    internal IReadOnlyList<Linear> ReadTogether => Gate is null ? [Up] : [Gate, Up];

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x, ForwardContext context)
    {
        Tensor? gate = Gate?.Forward(x, context);
        Tensor up = Up.Forward(x, context);
        Tensor activated = gate is null ? Activate.Plain(context, activation, up) : Activate.Gated(context, activation, gate, up);
        if (gate is not null)
            context.Shelve(gate);
        context.Shelve(up);
        Tensor y = Down.Forward(activated, context);
        context.Shelve(activated);
        return y;
    }
}
