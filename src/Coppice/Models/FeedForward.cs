using Coppice.Tensors;

namespace Coppice.Models;

/// <summary>down(silu(gate(x)) * up(x)) (Shazeer 2020).</summary>
public sealed class FeedForward(Linear gate, Linear up, Linear down) : Layer
{
    /// <summary>[hidden, width].</summary>
    public Linear Gate { get; } = gate;

    /// <summary>[hidden, width].</summary>
    public Linear Up { get; } = up;

    /// <summary>[width, hidden].</summary>
    public Linear Down { get; } = down;

    /// <inheritdoc/>
    public override IEnumerable<(string Name, Layer Layer)> Children => [("gate_proj", Gate), ("up_proj", Up), ("down_proj", Down)];

    /// <summary>[tokens, width] to the same.</summary>
    public Tensor Forward(Tensor x, ForwardContext context) =>
        Down.Forward(SwiGlu.Apply(context, Gate.Forward(x, context), Up.Forward(x, context)), context);
}
