using System.Numerics.Tensors;
using Coppice.Tensors;
using Coppice.Tensors.Simd;
using Coppice.Weights;
using Tensor = Coppice.Tensors.Tensor;

namespace Coppice.Models;

/// <summary>How a sequence's hidden states become one.</summary>
public enum Pooling
{
    /// <summary>Their mean.</summary>
    Mean,

    /// <summary>The first token's.</summary>
    First,
}

/// <summary>An encoder (Devlin et al. 2019): embedding, blocks in which every token sees all of its sequence, and a head or none.</summary>
public sealed class EncoderModel : Model
{
    readonly TransformerBlock[] blocks;
    readonly Trunk trunk;
    readonly LayerNorm embeddingNorm;
    readonly EncoderHead? head;

    /// <summary>Builds the model, asking <paramref name="matrix"/> and <paramref name="vector"/> for each parameter by its name and shape.</summary>
    public EncoderModel(EncoderConfig config, Func<string, Shape, Weight> matrix, Func<string, Shape, Tensor> vector)
    {
        Config = config;
        int width = config.HiddenSize;
        Embedding = new Embedding(matrix("model.embed_tokens.weight", [config.VocabularySize, width]));
        Positions = new Embedding(matrix("model.embed_positions.weight", [config.ContextLength + config.FirstPosition, width]));
        Types = config.TypeCount == 0 ? null : new Embedding(matrix("model.embed_types.weight", [config.TypeCount, width]));
        embeddingNorm = Norm("model.embed_norm");
        AttentionOptions attention = new() { Heads = config.HeadCount, KeyValueHeads = config.HeadCount, HeadWidth = width / config.HeadCount, Sight = Sight.All };
        blocks = [.. Enumerable.Range(0, config.LayerCount).Select(layer => Block($"model.layers.{layer}."))];
        head = config.Task switch
        {
            EncoderTask.MaskedLanguage => new EncoderHead(Product("head.dense", width, width), config.Activation, Norm("head.norm"), new Linear(Embedding), vector("head.bias", [config.VocabularySize])),
            EncoderTask.Classification => new EncoderHead(Product("head.dense", width, width), config.PoolerActivation, null, Product("head.out", config.Labels.Count, width), null),
            _ => config.HasPooler ? new EncoderHead(Product("head.dense", width, width), config.PoolerActivation, null, null, null) : null,
        };
        trunk = new Trunk(this);

        TransformerBlock Block(string name) => new(
            new BlockNorms(null, Norm(name + "post_attention_layernorm"), null, Norm(name + "post_feedforward_layernorm")),
            new Attention(Product(name + "self_attn.q_proj", width, width), Product(name + "self_attn.k_proj", width, width), Product(name + "self_attn.v_proj", width, width), Product(name + "self_attn.o_proj", width, width), attention),
            new FeedForward(null, Product(name + "mlp.up_proj", config.IntermediateSize, width), Product(name + "mlp.down_proj", width, config.IntermediateSize), config.Activation),
            Residual.Normed);

        Linear Product(string name, int outputs, int inputs) => new(matrix(name + ".weight", [outputs, inputs]), vector(name + ".bias", [outputs]));

        LayerNorm Norm(string name) => new(vector(name + ".weight", [width]), vector(name + ".bias", [width]), config.NormEpsilon);
    }

    /// <summary>The sizes.</summary>
    public EncoderConfig Config { get; }

    /// <summary>Token ids to hidden states.</summary>
    public Embedding Embedding { get; }

    /// <summary>Places to what is added.</summary>
    public Embedding Positions { get; }

    /// <summary>Parts of a sequence to what is added.</summary>
    public Embedding? Types { get; }

    /// <inheritdoc/>
    public override string Family => Config.Family;

    /// <inheritdoc/>
    public override IEnumerable<(string Name, string Value)> Facts =>
    [
        ("kind", "encoder"),
        ("heads", $"{Config.HeadCount}, {Config.HiddenSize / Config.HeadCount} wide"),
        ("gives", Config.Task switch
        {
            EncoderTask.Classification => $"one of {string.Join(", ", Config.Labels)}",
            EncoderTask.MaskedLanguage => "what stands in a token's place",
            _ => $"embeddings: {(Config.Pooling == Pooling.First ? "the first token's state" : "the mean of the states")}",
        }),
    ];

    /// <inheritdoc/>
    public override int VocabularySize => Config.VocabularySize;

    /// <inheritdoc/>
    public override int ContextLength => Config.ContextLength;

    /// <inheritdoc/>
    public override int Width => Config.HiddenSize;

    /// <inheritdoc/>
    public override bool IsCausal => false;

    /// <inheritdoc/>
    public override IReadOnlyList<TransformerBlock> Blocks => blocks;

    /// <inheritdoc/>
    public override IEnumerable<(string Name, Layer Layer)> Children => head is null ? [("model", trunk)] : [("model", trunk), ("head", head)];

    /// <inheritdoc/>
    public override Tensor Embed(Batch batch, ForwardContext context)
    {
        Tensor x = Add.Apply(context, Embedding.Forward(batch, context), Positions.Rows(batch.PositionsFrom(Config.FirstPosition), context));
        if (Types is not null)
            x = Add.Apply(context, x, Types.Rows(batch.Types, context));
        return embeddingNorm.Forward(x, context);
    }

    /// <summary>A classifier reads the first token of each sequence.</summary>
    public override Tensor HeadInput(Tensor hidden, Batch batch, ForwardContext context)
    {
        if (Config.Task != EncoderTask.Classification)
            return hidden;
        Memory<int> rows = context.Arena.RentRows(batch.Sequences.Length);
        for (int i = 0; i < rows.Length; i++)
            rows.Span[i] = batch.Sequences.Span[i].Start;
        return TakeRows.Apply(context, hidden, rows);
    }

    /// <summary>Hidden states to a classifier's scores or a masked language model's logits; as they are where the model has neither.</summary>
    public override Tensor Head(Tensor hidden, ForwardContext context) => Config.Task == EncoderTask.Embedding || head is null ? hidden : head.Forward(hidden, context);

    /// <summary>One vector [width] a sequence, of Euclidean length one.</summary>
    public Tensor Encode(Batch batch, Pooling pooling, ForwardContext context)
    {
        Tensor hidden = Hidden(batch, context), pooled = context.Arena.Rent([batch.Sequences.Length, Width]);
        for (int i = 0; i < batch.Sequences.Length; i++)
        {
            (int start, int length) = batch.Sequences.Span[i];
            Span<float> to = pooled.Data.Slice(i * Width, Width);
            hidden.Data.Slice(start * Width, Width).CopyTo(to);
            for (int t = 1; pooling == Pooling.Mean && t < length; t++)
                TensorPrimitives.Add(to, hidden.Data.Slice((start + t) * Width, Width), to);
            float norm = TensorPrimitives.Norm<float>(to);
            if (norm > 0)
                TensorPrimitives.Divide(to, norm, to);
        }
        return pooled;
    }

    /// <summary>Everything under the prefix <c>model.</c></summary>
    sealed class Trunk(EncoderModel model) : Layer
    {
        public override IEnumerable<(string Name, Layer Layer)> Children =>
        [
            ("embed_tokens", model.Embedding), ("embed_positions", model.Positions), .. model.Types is { } types ? [("embed_types", types)] : Array.Empty<(string, Layer)>(), ("embed_norm", model.embeddingNorm),
            .. model.blocks.Select((block, i) => ($"layers.{i}", (Layer)block)),
        ];
    }
}
