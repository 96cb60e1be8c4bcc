using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;
using static Coppice.Export.Onnx.TensorProto.Types;

namespace Coppice.Export.Onnx;

/// <summary>
/// A decoder as an ONNX graph with the inputs and outputs of Hugging Face's exporter: input_ids, attention_mask, position_ids and past_key_values.N.key/value in, logits and
/// present.N.key/value out. Hidden states are [batch * tokens, width], so that a product is one Gemm with the matrix as it is stored, [outputs, inputs].
/// </summary>
sealed class OnnxDecoder
{
    // Large enough to leave nothing of a masked key, small enough that no sum of it overflows.
    const float Masked = -1e30f;

    readonly DecoderConfig config;
    readonly OnnxGraph graph;
    readonly OnnxMatrices matrices;
    readonly Dictionary<string, Tensor> vectors;
    readonly DataType type;
    readonly string batch, tokens, fullMask;
    readonly string? windowMask;
    readonly (string Cosine, string Sine)? rotary, localRotary;

    OnnxDecoder(DecoderModel model, OnnxGraph graph, OnnxMatrices matrices)
    {
        (config, this.graph, this.matrices) = (model.Config, graph, matrices);
        type = matrices.Type;
        vectors = model.AllVectors().ToDictionary(part => part.Name, part => part.Vector, StringComparer.Ordinal);
        graph.Input("input_ids", DataType.Int64, "batch_size", "sequence_length");
        graph.Input("attention_mask", DataType.Int64, "batch_size", "total_sequence_length");
        graph.Input("position_ids", DataType.Int64, "batch_size", "sequence_length");
        batch = Size("input_ids", 0);
        tokens = Size("input_ids", 1);
        fullMask = Mask(null);
        windowMask = config.Window is { } window ? Mask(window) : null;
        if (config.Positions == PositionKind.Rotary)
        {
            rotary = Angles(isLocal: false);
            localRotary = config.LocalRopeTheta is null ? rotary : Angles(isLocal: true);
        }
    }

    /// <summary>Adds the model to a graph.</summary>
    /// <exception cref="CoppiceException">It has a part that the graph cannot say.</exception>
    public static void Build(DecoderModel model, OnnxGraph graph, OnnxMatrices matrices)
    {
        if (Known(model.Config) != model.Config)
            throw new CoppiceException($"this {model.Family} model has parts that are not written as ONNX");
        new OnnxDecoder(model, graph, matrices).Build(model.Blocks.Count);
    }

    void Build(int blocks)
    {
        string x = matrices.Rows("model.embed_tokens", "input_ids");
        if (config.EmbeddingScale is { } scale)
            x = graph.Add("Mul", [x, graph.Scalar(scale, type)]);
        if (config.Positions == PositionKind.Learned)
            x = graph.Add("Add", [x, matrices.Rows("model.embed_positions", graph.Add("Add", ["position_ids", graph.Scalar(config.FirstPosition)]))]);
        x = Reshape(x, -1, config.HiddenSize);
        for (int i = 0; i < blocks; i++)
            x = Block(x, i);
        x = matrices.Multiply(config.Head == HeadKind.Tied ? "model.embed_tokens" : "lm_head", Norm(x, "model.norm"), null);
        if (config.LogitSoftcap is { } cap)
            x = Softcap(x, cap, type);
        x = graph.Add("Reshape", [x, graph.Add("Concat", [batch, tokens, graph.Constant(config.VocabularySize)], ("axis", 0L))]);
        graph.Output("logits", Cast(x, type, DataType.Float), DataType.Float, "batch_size", "sequence_length", config.VocabularySize);
        if (vectors.Count > 0)
            throw new CoppiceException($"this {config.Family} model has {vectors.Count} vectors that are not written as ONNX, such as {vectors.Keys.First()}");
    }

    string Block(string x, int index)
    {
        string name = $"model.layers.{index}.";
        bool before = config.NormPlacement != NormPlacement.After, after = config.NormPlacement != NormPlacement.Before;
        string mixed = Attention(before ? Norm(x, name + "input_layernorm") : x, name + "self_attn.", index);
        string y = graph.Add("Add", [x, after ? Norm(mixed, name + "post_attention_layernorm") : mixed]);
        string read = config.Residual == Residual.Parallel ? x : y;
        string wide = FeedForward(before ? Norm(read, name + (after ? "pre_feedforward_layernorm" : "post_attention_layernorm")) : read, name + "mlp.");
        return graph.Add("Add", [y, after ? Norm(wide, name + "post_feedforward_layernorm") : wide]);
    }

    string FeedForward(string x, string name)
    {
        string up = Product(x, name + "up_proj", BiasedParts.FeedForward);
        string inner = config.Gating == Gating.Gated
            ? graph.Add("Mul", [Activate(Product(x, name + "gate_proj", BiasedParts.FeedForward)), up])
            : Activate(up);
        return Product(inner, name + "down_proj", BiasedParts.FeedForward);
    }

    string Attention(string x, string name, int index)
    {
        (int heads, int shared, int width) = (config.HeadCount, config.KeyValueHeadCount, config.HeadWidth);
        bool isWindowed = config.IsWindowed(index);
        (string, string)? turn = isWindowed ? localRotary : rotary;
        string q = Heads(Product(x, name + "q_proj", BiasedParts.QueryKeyValue), heads, name + "q_norm.weight", turn);
        string k = Heads(Product(x, name + "k_proj", BiasedParts.QueryKeyValue), shared, name + "k_norm.weight", turn);
        string v = Heads(Product(x, name + "v_proj", BiasedParts.QueryKeyValue), shared, null, null);
        k = Cached($"{index}.key", k);
        v = Cached($"{index}.value", v);

        // [batch, shared, heads of each, tokens, width] with keys and values that are the same for all heads that share them.
        q = graph.Add("Mul", [Reshape(q, 0, shared, heads / shared, -1, width), graph.Scalar(config.AttentionScale ?? 1 / MathF.Sqrt(width), type)]);
        string keys = graph.Add("Transpose", [graph.Add("Unsqueeze", [k, graph.Constant(2L)])], ("perm", new long[] { 0, 1, 2, 4, 3 }));
        string scores = Cast(graph.Add("MatMul", [q, keys]), type, DataType.Float);
        if (config.AttentionSoftcap is { } cap)
            scores = Softcap(scores, cap, DataType.Float);
        string weights = graph.Add("Softmax", [graph.Add("Add", [scores, isWindowed ? windowMask! : fullMask])], ("axis", -1L));
        string mixed = graph.Add("MatMul", [Cast(weights, DataType.Float, type), graph.Add("Unsqueeze", [v, graph.Constant(2L)])]);
        mixed = graph.Add("Transpose", [Reshape(mixed, 0, heads, -1, width)], ("perm", new long[] { 0, 2, 1, 3 }));
        return Product(Reshape(mixed, -1, (long)heads * width), name + "o_proj", BiasedParts.AttentionOutput);
    }

    // [batch * tokens, heads * width] to [batch, heads, tokens, width], normed and turned.
    string Heads(string x, int heads, string? norm, (string Cosine, string Sine)? turn)
    {
        bool isNormed = norm is not null && config.QueryKeyNorm != QueryKeyNorm.None;
        if (isNormed && config.QueryKeyNorm == QueryKeyNorm.Row)
            x = RootMeanSquare(x, norm!);
        x = graph.Add("Reshape", [x, graph.Add("Concat", [batch, tokens, graph.Constant(heads, config.HeadWidth)], ("axis", 0L))]);
        if (isNormed && config.QueryKeyNorm == QueryKeyNorm.Head)
            x = RootMeanSquare(x, norm!);
        x = graph.Add("Transpose", [x], ("perm", new long[] { 0, 2, 1, 3 }));
        return turn is { } angles ? Turn(x, angles) : x;
    }

    // Number i of the first half of what is turned goes with number i of its second half.
    string Turn(string x, (string Cosine, string Sine) angles)
    {
        int turned = config.RotaryWidth ?? config.HeadWidth;
        string first = Slice(x, 0, turned / 2), second = Slice(x, turned / 2, turned);
        List<string> parts =
        [
            graph.Add("Sub", [graph.Add("Mul", [first, angles.Cosine]), graph.Add("Mul", [second, angles.Sine])]),
            graph.Add("Add", [graph.Add("Mul", [second, angles.Cosine]), graph.Add("Mul", [first, angles.Sine])]),
        ];
        if (turned < config.HeadWidth)
            parts.Add(Slice(x, turned, config.HeadWidth));
        return graph.Add("Concat", parts, ("axis", -1L));

        string Slice(string from, long start, long end) => graph.Add("Slice", [from, graph.Constant(start), graph.Constant(end), graph.Constant(-1L)]);
    }

    // Cosines and sines [batch, 1, tokens, pairs].
    (string Cosine, string Sine) Angles(bool isLocal)
    {
        string places = graph.Add("Cast", [graph.Add("Unsqueeze", ["position_ids", graph.Constant(1L, 3)])], ("to", (long)DataType.Float));
        string angles = graph.Add("Mul", [places, graph.Constant([.. config.RotaryFrequencies(isLocal).Select(frequency => (float)frequency)])]);
        return (Turn("Cos"), Turn("Sin"));

        string Turn(string function)
        {
            string turned = graph.Add(function, [angles]);
            double amplitude = config.RotaryAmplitude(isLocal);
            return Cast(amplitude == 1 ? turned : graph.Add("Mul", [turned, graph.Scalar((float)amplitude, DataType.Float)]), DataType.Float, type);
        }
    }

    // 0 where a query sees a key, [batch, 1, 1, tokens, tokens with those before].
    string Mask(int? window)
    {
        string all = Size("attention_mask", 1), zero = graph.Scalar(0), one = graph.Scalar(1);
        string end = graph.Add("Squeeze", [all]), begin = graph.Add("Sub", [end, graph.Add("Squeeze", [tokens])]);
        string keys = graph.Add("Range", [zero, end, one]), queries = graph.Add("Unsqueeze", [graph.Add("Range", [begin, end, one]), graph.Constant(1L)]);
        string seen = graph.Add("LessOrEqual", [keys, queries]);
        if (window is { } width)
            seen = graph.Add("And", [seen, graph.Add("Greater", [keys, graph.Add("Sub", [queries, graph.Scalar(width)])])]);
        string kept = graph.Add("Cast", [graph.Add("Unsqueeze", ["attention_mask", graph.Constant(1L, 2, 3)])], ("to", (long)DataType.Bool));
        return graph.Add("Where", [graph.Add("And", [seen, kept]), graph.Scalar(0f, DataType.Float), graph.Scalar(Masked, DataType.Float)]);
    }

    string Cached(string name, string now)
    {
        object[] sizes = ["batch_size", config.KeyValueHeadCount, "past_sequence_length", config.HeadWidth];
        string all = graph.Add("Concat", [graph.Input("past_key_values." + name, type, sizes), now], ("axis", 2L));
        sizes[2] = "total_sequence_length";
        graph.Output("present." + name, all, type, sizes);
        return all;
    }

    string Product(string x, string name, BiasedParts part) => matrices.Multiply(name, x, (config.Biases & part) != 0 ? Take(name + ".bias") : null);

    string Norm(string x, string name) => config.Norm == NormKind.Rms
        ? RootMeanSquare(x, name + ".weight")
        : Cast(graph.Add("LayerNormalization", [Cast(x, type, DataType.Float), Floats(name + ".weight"), Floats(name + ".bias")], ("axis", -1L), ("epsilon", config.NormEpsilon)), DataType.Float, type);

    string RootMeanSquare(string x, string gain)
    {
        x = Cast(x, type, DataType.Float);
        string mean = graph.Add("ReduceMean", [graph.Add("Mul", [x, x]), graph.Constant(-1L)]);
        string size = graph.Add("Sqrt", [graph.Add("Add", [mean, graph.Scalar(config.NormEpsilon, DataType.Float)])]);
        return Cast(graph.Add("Mul", [graph.Add("Div", [x, size]), Floats(gain)]), DataType.Float, type);
    }

    string Activate(string x) => config.Activation switch
    {
        Activation.Silu => graph.Add("Mul", [x, graph.Add("Sigmoid", [x])]),
        Activation.GeluTanh => graph.Add("Gelu", [x], ("approximate", "tanh")),
        Activation.Gelu => graph.Add("Gelu", [x], ("approximate", "none")),
        Activation.Relu => graph.Add("Relu", [x]),
        _ => throw new CoppiceException($"the activation {config.Activation} is not written as ONNX"),
    };

    string Softcap(string x, float cap, DataType kind) => graph.Add("Mul", [graph.Add("Tanh", [graph.Add("Div", [x, graph.Scalar(cap, kind)])]), graph.Scalar(cap, kind)]);

    string Cast(string x, DataType from, DataType to) => from == to ? x : graph.Add("Cast", [x], ("to", (long)to));

    string Reshape(string x, params ReadOnlySpan<long> shape) => graph.Add("Reshape", [x, graph.Constant(shape)]);

    // One size of an input, as a list of one number.
    string Size(string input, long axis) => graph.Add("Shape", [input], ("start", axis), ("end", axis + 1));

    string Floats(string name) => matrices.Vector(name, Take(name), DataType.Float);

    // Each vector once: what is left at the end has no place in the graph.
    Tensor Take(string name) => vectors.Remove(name, out Tensor? vector) ? vector : throw new CoppiceException($"vector '{name}' is missing");

    // What of a config this graph says. Whatever is added to configs later makes them unequal.
    static DecoderConfig Known(DecoderConfig config) => new()
    {
        HiddenSize = config.HiddenSize,
        IntermediateSize = config.IntermediateSize,
        LayerCount = config.LayerCount,
        HeadCount = config.HeadCount,
        KeyValueHeadCount = config.KeyValueHeadCount,
        HeadWidth = config.HeadWidth,
        VocabularySize = config.VocabularySize,
        ContextLength = config.ContextLength,
        Family = config.Family,
        RopeTheta = config.RopeTheta,
        RopeScaling = config.RopeScaling,
        RotaryWidth = config.RotaryWidth,
        Positions = config.Positions,
        FirstPosition = config.FirstPosition,
        Window = config.Window,
        WindowPattern = config.WindowPattern,
        LocalRopeTheta = config.LocalRopeTheta,
        Norm = config.Norm,
        NormPlacement = config.NormPlacement,
        Residual = config.Residual,
        Biases = config.Biases,
        QueryKeyNorm = config.QueryKeyNorm,
        Activation = config.Activation,
        Gating = config.Gating,
        AttentionScale = config.AttentionScale,
        AttentionSoftcap = config.AttentionSoftcap,
        LogitSoftcap = config.LogitSoftcap,
        EmbeddingScale = config.EmbeddingScale,
        NormEpsilon = config.NormEpsilon,
        Head = config.Head,
    };
}
