using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Models;

/// <summary>The Llama family (Touvron et al. 2023): embedding, blocks of attention and SwiGLU, a last norm, the head.</summary>
public sealed class LlamaModel : Model
{
    readonly TransformerBlock[] blocks;
    readonly Trunk trunk;

    /// <summary>Builds the model, asking <paramref name="matrix"/> and <paramref name="vector"/> for each parameter by its checkpoint name and shape.</summary>
    public LlamaModel(LlamaConfig config, Func<string, Shape, Weight> matrix, Func<string, Shape, Tensor> vector)
    {
        Config = config;
        RotaryTable rotary = new(config.ContextLength, config.HeadWidth, config.RopeTheta);
        int width = config.HiddenSize, inner = config.IntermediateSize;
        int queries = config.HeadCount * config.HeadWidth, keys = config.KeyValueHeadCount * config.HeadWidth;
        Embedding = new Embedding(matrix("model.embed_tokens.weight", [config.VocabularySize, width]));
        blocks = new TransformerBlock[config.LayerCount];
        for (int i = 0; i < blocks.Length; i++)
        {
            string name = $"model.layers.{i}.";
            blocks[i] = new TransformerBlock(
                Norm(name + "input_layernorm"),
                new Attention(
                    Product(name + "self_attn.q_proj", queries, width),
                    Product(name + "self_attn.k_proj", keys, width),
                    Product(name + "self_attn.v_proj", keys, width),
                    Product(name + "self_attn.o_proj", width, queries),
                    rotary, config.HeadCount, config.KeyValueHeadCount),
                Norm(name + "post_attention_layernorm"),
                new FeedForward(
                    Product(name + "mlp.gate_proj", inner, width),
                    Product(name + "mlp.up_proj", inner, width),
                    Product(name + "mlp.down_proj", width, inner)));
        }
        FinalNorm = Norm("model.norm");
        Output = config.Head == HeadKind.Tied ? new Linear(Embedding) : Product("lm_head", config.VocabularySize, width);
        trunk = new Trunk(this);

        Linear Product(string name, int outputs, int inputs) => new(matrix(name + ".weight", [outputs, inputs]));
        RmsNorm Norm(string name) => new(vector(name + ".weight", [width]), config.NormEpsilon);
    }

    /// <summary>The sizes.</summary>
    public LlamaConfig Config { get; }

    /// <summary>Token ids to hidden states.</summary>
    public Embedding Embedding { get; }

    /// <summary>Before the head.</summary>
    public RmsNorm FinalNorm { get; }

    /// <summary>The head; its weight is the embedding's where they are tied.</summary>
    public Linear Output { get; }

    /// <inheritdoc/>
    public override string Family => "llama";

    /// <inheritdoc/>
    public override int VocabularySize => Config.VocabularySize;

    /// <inheritdoc/>
    public override int ContextLength => Config.ContextLength;

    /// <inheritdoc/>
    public override int Width => Config.HiddenSize;

    /// <inheritdoc/>
    public override IReadOnlyList<TransformerBlock> Blocks => blocks;

    /// <inheritdoc/>
    public override IEnumerable<(string Name, Layer Layer)> Children =>
        Config.Head == HeadKind.Tied ? [("model", trunk)] : [("model", trunk), ("lm_head", Output)];

    /// <inheritdoc/>
    public override Tensor Embed(Batch batch, ForwardContext context) => Embedding.Forward(batch, context);

    /// <inheritdoc/>
    public override Tensor Head(Tensor hidden, ForwardContext context) => Output.Forward(FinalNorm.Forward(hidden, context), context);

    /// <summary>Everything under the checkpoint's prefix <c>model.</c></summary>
    sealed class Trunk(LlamaModel model) : Layer
    {
        public override IEnumerable<(string Name, Layer Layer)> Children =>
            [("embed_tokens", model.Embedding), .. model.blocks.Select((block, i) => ($"layers.{i}", (Layer)block)), ("norm", model.FinalNorm)];
    }
}
