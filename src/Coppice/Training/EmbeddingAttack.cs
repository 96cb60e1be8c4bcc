using System.Numerics.Tensors;
using Coppice.Models;
using Coppice.Tensors;
using Tensor = Coppice.Tensors.Tensor;

namespace Coppice.Training;

/// <summary>What is added to the embeddings of a batch to make its loss larger: by the sign of the loss's gradient, one step (Goodfellow et al. 2015, FGSM).</summary>
sealed class EmbeddingAttack
{
    readonly double strength;
    readonly Tensor shift;
    double size;

    /// <summary>For batches of <paramref name="tokens"/> tokens.</summary>
    /// <param name="strength">How far each number goes, over the root mean square of the batch's embeddings.</param>
    public EmbeddingAttack(int tokens, int width, double strength)
    {
        (this.strength, shift) = (strength, new Tensor([tokens, width]));
        shift.TrackGradient();
    }

    /// <summary>Logits of a batch whose embeddings are shifted.</summary>
    public Tensor Forward(Model model, Batch batch, ForwardContext context)
    {
        Tensor embedded = model.Embed(batch, context);
        size = Math.Sqrt(TensorPrimitives.SumOfSquares<float>(embedded.Data) / embedded.Data.Length);
        Tensor hidden = model.Blockwise(Add.Apply(context, embedded, shift), batch, context);
        return model.Head(model.HeadInput(hidden, batch, context), context);
    }

    /// <summary>After a backward pass without a shift: shifts by strength * size * sign(gradient).</summary>
    public void Aim()
    {
        float far = (float)(strength * size);
        ReadOnlySpan<float> gradient = shift.Grad!.Data;
        Span<float> to = shift.Data;
        for (int i = 0; i < to.Length; i++)
            to[i] = far * Math.Sign(gradient[i]);
        shift.ForgetGradient();
    }

    /// <summary>Shifts by nothing again.</summary>
    public void Withdraw()
    {
        shift.Data.Clear();
        shift.ForgetGradient();
    }
}
