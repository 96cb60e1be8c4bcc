using Coppice.Tensors;
using Coppice.Tensors.Simd;
using Coppice.Weights;

namespace Coppice.Models;

/// <summary>An encoder of a source text and a decoder that continues its translation (Vaswani et al. 2017; Junczys-Dowmunt et al. 2018). As a <see cref="Model"/> it is the decoder: batches carry what <see cref="Encode"/> gave.</summary>
public sealed class TranslationModel : Model
{
    readonly TransformerBlock[] encoder, decoder;
    readonly Embedding positions;
    readonly Trunk trunk;
    readonly Linear output;
    readonly Tensor bias;

    /// <summary>Builds the model, asking <paramref name="matrix"/> and <paramref name="vector"/> for each parameter by its name and shape.</summary>
    public TranslationModel(TranslationConfig config, Func<string, Shape, Weight> matrix, Func<string, Shape, Tensor> vector)
    {
        Config = config;
        int width = config.Width;
        Embedding = new Embedding(matrix("model.embed_tokens.weight", [config.VocabularySize, width]));
        positions = new Embedding(new DenseWeight(Sinusoids(config.ContextLength, width)));
        encoder = [.. Enumerable.Range(0, config.Encoder.Layers).Select(layer => Block($"model.encoder.layers.{layer}.", config.Encoder, Sight.All))];
        decoder = [.. Enumerable.Range(0, config.Decoder.Layers).Select(layer => Block($"model.decoder.layers.{layer}.", config.Decoder, Sight.Past))];
        output = new Linear(Embedding);
        bias = vector("head.bias", [config.VocabularySize]);
        trunk = new Trunk(this);

        TransformerBlock Block(string name, TranslationStack stack, Sight sight)
        {
            AttentionOptions attention = new() { Heads = stack.Heads, KeyValueHeads = stack.Heads, HeadWidth = width / stack.Heads, Sight = sight };
            return new TransformerBlock(
                new BlockNorms(null, Norm(name + "post_attention_layernorm"), null, Norm(name + "post_feedforward_layernorm")),
                new Attention(Product(name + "self_attn.q_proj", width, width), Product(name + "self_attn.k_proj", width, width), Product(name + "self_attn.v_proj", width, width), Product(name + "self_attn.o_proj", width, width), attention),
                new FeedForward(null, Product(name + "mlp.up_proj", stack.Inner, width), Product(name + "mlp.down_proj", width, stack.Inner), config.Activation),
                Residual.Normed,
                sight == Sight.All ? null : Source(name + "encoder_attn.", stack.Heads));
        }

        SourceAttention Source(string name, int heads) =>
            new(Product(name + "q_proj", width, width), Product(name + "k_proj", width, width), Product(name + "v_proj", width, width), Product(name + "o_proj", width, width), Norm(name + "norm"), heads);

        Linear Product(string name, int outputs, int inputs) => new(matrix(name + ".weight", [outputs, inputs]), vector(name + ".bias", [outputs]));

        LayerNorm Norm(string name) => new(vector(name + ".weight", [width]), vector(name + ".bias", [width]), config.NormEpsilon);
    }

    /// <summary>The sizes.</summary>
    public TranslationConfig Config { get; }

    /// <summary>Token ids of both languages to hidden states.</summary>
    public Embedding Embedding { get; }

    /// <inheritdoc/>
    public override string Family => Config.Family;

    /// <inheritdoc/>
    public override IEnumerable<(string Name, string Value)> Facts =>
    [
        ("kind", "encoder and decoder, for translation"),
        ("encoder", $"{Config.Encoder.Layers} blocks, {Config.Encoder.Heads} heads of {Width / Config.Encoder.Heads}"),
        ("decoder", $"{Config.Decoder.Layers} blocks, {Config.Decoder.Heads} heads of {Width / Config.Decoder.Heads}"),
        ("positions", "sinusoids"),
    ];

    /// <inheritdoc/>
    public override int VocabularySize => Config.VocabularySize;

    /// <inheritdoc/>
    public override int ContextLength => Config.ContextLength;

    /// <inheritdoc/>
    public override int Width => Config.Width;

    /// <inheritdoc/>
    public override IReadOnlyList<TransformerBlock> Blocks => decoder;

    /// <inheritdoc/>
    public override IReadOnlyList<TransformerBlock> SourceBlocks => encoder;

    /// <inheritdoc/>
    public override IEnumerable<(string Name, Layer Layer)> Children => [("model", trunk), ("head", new Bias(bias))];

    /// <summary>What the encoder makes of source texts, each with its end token. It holds beyond a reset of the context, unless the context has a tape.</summary>
    public EncodedSource Encode(Batch sources, ForwardContext context)
    {
        Check(sources);
        Tensor hidden = Embed(sources, context);
        for (int i = 0; i < encoder.Length; i++)
            hidden = encoder[i].Forward(hidden, sources, i, context);
        bool isKept = context.Tape is null;
        return new EncodedSource(isKept ? Tensor.From(hidden.Shape, hidden.Data) : hidden, sources.Sequences.ToArray(), isKept);
    }

    /// <inheritdoc/>
    public override Tensor Embed(Batch batch, ForwardContext context)
    {
        Tensor x = Embedding.Forward(batch, context);
        if (Config.EmbeddingScale is { } scale)
            x = Rescale.Apply(context, x, scale);
        return Add.Apply(context, x, positions.Rows(batch.Positions, context));
    }

    /// <inheritdoc/>
    public override Tensor Head(Tensor hidden, ForwardContext context) => AddBias.Apply(context, output.Forward(hidden, context), bias);

    // Of place p: the sines of p / 10000^(2i/width) first, then the cosines.
    static Tensor Sinusoids(int places, int width)
    {
        Tensor table = new([places, width]);
        for (int place = 0; place < places; place++)
            for (int i = 0; i < width / 2; i++)
            {
                (double sin, double cos) = Math.SinCos(place / Math.Pow(10_000, 2.0 * i / width));
                (table.Data[place * width + i], table.Data[place * width + width / 2 + i]) = ((float)sin, (float)cos);
            }
        return table;
    }

    /// <summary>Everything under the prefix <c>model.</c></summary>
    sealed class Trunk(TranslationModel model) : Layer
    {
        public override IEnumerable<(string Name, Layer Layer)> Children =>
            [("embed_tokens", model.Embedding), .. model.encoder.Select((block, i) => ($"encoder.layers.{i}", (Layer)block)), .. model.decoder.Select((block, i) => ($"decoder.layers.{i}", (Layer)block))];
    }

    sealed class Bias(Tensor bias) : Layer
    {
        public override IEnumerable<(string Name, Tensor Vector)> Vectors => [("bias", bias)];
    }
}
