using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Models;

/// <summary>A decoder: embedding, blocks of attention and a feed-forward part, a last norm, the head. Its parts have the names of a Llama checkpoint, whatever the family.</summary>
public sealed class DecoderModel : Model
{
    readonly TransformerBlock[] blocks;
    readonly Trunk trunk;

    /// <summary>Builds the model, asking <paramref name="matrix"/> and <paramref name="vector"/> for each parameter by its name and shape.</summary>
    public DecoderModel(DecoderConfig config, Func<string, Shape, Weight> matrix, Func<string, Shape, Tensor> vector)
    {
        Config = config;
        int width = config.HiddenSize, inner = config.IntermediateSize;
        int queries = config.HeadCount * config.HeadWidth, keys = config.KeyValueHeadCount * config.HeadWidth;
        RotaryTable? rotary = config.Positions == PositionKind.Rotary ? Rotary(isLocal: false) : null;
        RotaryTable? localRotary = config.LocalRopeTheta is null ? rotary : Rotary(isLocal: true);
        Embedding = new Embedding(matrix("model.embed_tokens.weight", [config.VocabularySize, width]));
        if (config.Positions == PositionKind.Learned)
            Positions = new Embedding(matrix("model.embed_positions.weight", [config.ContextLength + config.FirstPosition, width]));
        blocks = new TransformerBlock[config.LayerCount];
        for (int i = 0; i < blocks.Length; i++)
            blocks[i] = Block(i);
        FinalNorm = Norm("model.norm");
        Output = config.Head == HeadKind.Tied ? new Linear(Embedding) : Product("lm_head", config.VocabularySize, width, BiasedParts.None);
        trunk = new Trunk(this);

        TransformerBlock Block(int layer)
        {
            string name = $"model.layers.{layer}.";
            bool isWindowed = config.IsWindowed(layer);
            bool before = config.NormPlacement != NormPlacement.After, after = config.NormPlacement != NormPlacement.Before;
            Normalization? first = before ? Norm(name + "input_layernorm") : null;
            Attention attention = new(
                Product(name + "self_attn.q_proj", queries, width, BiasedParts.QueryKeyValue),
                Product(name + "self_attn.k_proj", keys, width, BiasedParts.QueryKeyValue),
                Product(name + "self_attn.v_proj", keys, width, BiasedParts.QueryKeyValue),
                Product(name + "self_attn.o_proj", width, queries, BiasedParts.AttentionOutput),
                new AttentionOptions
                {
                    Heads = config.HeadCount,
                    KeyValueHeads = config.KeyValueHeadCount,
                    HeadWidth = config.HeadWidth,
                    Rotary = isWindowed ? localRotary : rotary,
                    QueryNorm = HeadNorm(name + "self_attn.q_norm.weight", queries),
                    KeyNorm = HeadNorm(name + "self_attn.k_norm.weight", keys),
                    Scale = config.AttentionScale,
                    Window = isWindowed ? config.Window : null,
                    Softcap = config.AttentionSoftcap,
                });
            Normalization? behindAttention = after ? Norm(name + "post_attention_layernorm") : null;
            Normalization? second = before ? Norm(name + (after ? "pre_feedforward_layernorm" : "post_attention_layernorm")) : null;
            ChannelMixer feedForward = config.Experts is { } experts && experts.Has(layer) ? Mixture(name + "mlp.", experts) : FeedForwards([name + "mlp."], inner)[0];
            return new TransformerBlock(new BlockNorms(first, behindAttention, second, after ? Norm(name + "post_feedforward_layernorm") : null), attention, feedForward, config.Residual);
        }

        MixtureOfExperts Mixture(string name, ExpertOptions experts)
        {
            Linear router = Product(name + "gate", experts.Count, width, BiasedParts.None);
            FeedForward[] all = FeedForwards([.. Enumerable.Range(0, experts.Count).Select(e => $"{name}experts.{e}.")], experts.Width);
            return experts.SharedWidth is { } sharedWidth
                ? new MixtureOfExperts(router, all, FeedForwards([name + "shared_expert."], sharedWidth)[0], Product(name + "shared_expert_gate", 1, width, BiasedParts.None), experts)
                : new MixtureOfExperts(router, all, null, null, experts);
        }

        // All gates, then all that goes up, then down: containers keep experts' matrices of a kind together.
        FeedForward[] FeedForwards(string[] names, int inner)
        {
            Linear?[] gates = [.. names.Select(name => config.Gating == Gating.Gated ? Product(name + "gate_proj", inner, width, BiasedParts.FeedForward) : null)];
            Linear[] ups = [.. names.Select(name => Product(name + "up_proj", inner, width, BiasedParts.FeedForward))];
            Linear[] downs = [.. names.Select(name => Product(name + "down_proj", width, inner, BiasedParts.FeedForward))];
            return [.. gates.Select((gate, e) => new FeedForward(gate, ups[e], downs[e], config.Activation))];
        }

        Linear Product(string name, int outputs, int inputs, BiasedParts part) =>
            new(matrix(name + ".weight", [outputs, inputs]), (config.Biases & part) != 0 ? vector(name + ".bias", [outputs]) : null);

        Normalization Norm(string name) => config.Norm == NormKind.Rms
            ? new RmsNorm(vector(name + ".weight", [width]), config.NormEpsilon)
            : new LayerNorm(vector(name + ".weight", [width]), vector(name + ".bias", [width]), config.NormEpsilon);

        RmsNorm? HeadNorm(string name, int all) => config.QueryKeyNorm == QueryKeyNorm.None
            ? null
            : new RmsNorm(vector(name, [config.QueryKeyNorm == QueryKeyNorm.Head ? config.HeadWidth : all]), config.NormEpsilon);

        RotaryTable Rotary(bool isLocal) => new(config.ContextLength, config.HeadWidth, config.RotaryFrequencies(isLocal), config.RotaryAmplitude(isLocal));
    }

    /// <summary>The sizes.</summary>
    public DecoderConfig Config { get; }

    /// <summary>Token ids to hidden states.</summary>
    public Embedding Embedding { get; }

    /// <summary>Places to what is added to the hidden states, where positions are learned.</summary>
    public Embedding? Positions { get; }

    /// <summary>Before the head.</summary>
    public Normalization FinalNorm { get; }

    /// <summary>The head; its weight is the embedding's where they are tied.</summary>
    public Linear Output { get; }

    /// <inheritdoc/>
    public override string Family => Config.Family;

    /// <inheritdoc/>
    public override IEnumerable<(string Name, string Value)> Facts => Config.Facts;

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
    public override Tensor Embed(Batch batch, ForwardContext context)
    {
        Tensor x = Embedding.Forward(batch, context);
        if (Config.EmbeddingScale is { } scale)
            x = Rescale.Apply(context, x, scale);
        return Positions is null ? x : Add.Apply(context, x, Positions.Rows(batch.PositionsFrom(Config.FirstPosition), context));
    }

    /// <inheritdoc/>
    public override Tensor Head(Tensor hidden, ForwardContext context)
    {
        Tensor logits = Output.Forward(FinalNorm.Forward(hidden, context), context);
        return Config.LogitSoftcap is { } cap ? Softcap.Apply(context, logits, cap) : logits;
    }

    /// <summary>Everything under the checkpoint's prefix <c>model.</c></summary>
    sealed class Trunk(DecoderModel model) : Layer
    {
        public override IEnumerable<(string Name, Layer Layer)> Children =>
            [("embed_tokens", model.Embedding), .. model.Positions is { } positions ? [("embed_positions", positions)] : Array.Empty<(string, Layer)>(), .. model.blocks.Select((block, i) => ($"layers.{i}", (Layer)block)), ("norm", model.FinalNorm)];
    }
}
